"""The rejects of an import as a file in its own dialect: to be repaired in any editor, and sent again.

Three columns stand first, which an import ignores where a file begins with them: `_line`, `_code` and `_message`. After
them come the values of the bad row as they were. Standing first they are in place whatever the row is: one with too
few or too many values is still so, and no value was made up to fill it.

What cannot be shown is U+FFFD (a byte that is no character, a NUL): sent again with that, a row is a reject,
`not_repaired`. A row whose quotes do not close cannot be split, and is one value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from .archives import open_unpacked
from .batches import RAW_BYTES
from .blocks import Block, Cursor, cut
from .encodings import unit_width
from .layout import NOTES, Layout
from .records import MAX_RECORD, split
from .refusals import Refusal

LOST = "\ufffd"
_BLOCK_BYTES = 4096
#: To tell where a record ends, no more than so much is read behind it.
_KEPT_BYTES = 8 * MAX_RECORD
_MARK = "\ufeff"  # by which a spreadsheet knows that it is UTF-8
_WHOLE = ("unterminated_quote", "field_too_long")


class BadRow(NamedTuple):
    """What is known of a reject."""

    line: int
    offset: int | None
    code: str
    message: str
    raw: str


@dataclass(frozen=True)
class Repair:
    """Writes the rows; `source` is the file that was imported, None where it is gone: long rows are cut then."""

    layout: Layout
    source: Rereading | None

    def head(self) -> str:
        return _MARK + self._text([[*NOTES, *self.layout.data_columns]])

    def rows(self, bad: Iterable[BadRow]) -> str:
        return self._text([row.line, row.code, row.message, *self._values(row)] for row in bad)

    def _text(self, rows: Iterable[Sequence[object]]) -> str:
        text = io.StringIO()
        # CRLF, as a lone CR within a value is quoted only where the line end has one.
        csv.writer(text, delimiter=self.layout.delimiter, lineterminator="\r\n").writerows(rows)
        return text.getvalue()

    def _values(self, row: BadRow) -> list[str]:
        text = self._whole(row)
        if row.code in _WHOLE:
            return [text]
        values = split(text, self.layout.delimiter, self.layout.quotechar)
        return values[len(NOTES) :] if self.layout.has_notes else values

    def _whole(self, row: BadRow) -> str:
        """The row's text: as it was kept if that is all of it, else read again from the file."""
        kept = row.raw.encode(self.layout.encoding, "replace")
        # A character that the cut went through is not kept.
        if len(kept) < RAW_BYTES - 4 or row.offset is None or self.source is None:
            return row.raw
        start = Cursor(row.offset, row.line)
        try:
            block = next(cut(self.source, self.layout, start, block_bytes=_BLOCK_BYTES), None)
        except Refusal:  # the archive is broken behind the row
            return row.raw
        return row.raw if block is None else _first_record(block, self.layout)


class Rereading:
    """A file whose rows are read one after the other, though to find the end of one reads beyond it.

    A packed file is so unpacked once, and not from its beginning for each row.
    """

    def __init__(self, path: Path, compression: str) -> None:
        self._path, self._compression = path, compression
        self._open()

    def _open(self) -> None:
        self._file = open_unpacked(self._path, self._compression)
        self._kept, self._end, self._position = bytearray(), 0, 0

    def __enter__(self) -> Rereading:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.__exit__(kind, error, at)

    def skip_to(self, offset: int) -> None:
        if offset < self._end - len(self._kept):
            self._file.__exit__(None, None, None)
            self._open()
        if offset > self._end:
            self._file.skip_to(offset)
            self._kept.clear()
            self._end = offset
        self._position = offset

    def read(self, size: int) -> bytes:
        """At most `size` bytes; b"" at the end."""
        start = len(self._kept) - (self._end - self._position)
        piece = bytes(self._kept[start : start + size]) or self._read_on(size)
        self._position += len(piece)
        return piece

    def _read_on(self, size: int) -> bytes:
        piece = self._file.read(size)
        self._kept += piece
        self._end += len(piece)
        if len(self._kept) > 2 * _KEPT_BYTES:
            del self._kept[:-_KEPT_BYTES]
        return piece


def _first_record(block: Block, layout: Layout) -> str:
    stop = len(block.data) if block.is_cut else int(block.records(layout).stops[0]) * unit_width(layout.encoding)
    return block.data[:stop].decode(layout.encoding, "replace").rstrip("\r\n").replace("\0", LOST)
