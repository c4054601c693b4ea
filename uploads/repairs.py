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
from typing import NamedTuple

from .batches import RAW_BYTES
from .blocks import Block, Cursor, blocks
from .encodings import unit_width
from .layout import NOTES, Layout
from .records import split

LOST = "\ufffd"
_BLOCK_BYTES = 4096
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
    source: Path | None

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
        if len(kept) < RAW_BYTES - 4 or row.offset is None or self.source is None or not self.source.exists():
            return row.raw
        start = Cursor(row.offset, row.line)
        return _first_record(next(blocks(self.source, self.layout, start, block_bytes=_BLOCK_BYTES)), self.layout)


def _first_record(block: Block, layout: Layout) -> str:
    stop = len(block.data) if block.is_cut else int(block.records(layout).stops[0]) * unit_width(layout.encoding)
    return block.data[:stop].decode(layout.encoding, "replace").rstrip("\r\n").replace("\0", LOST)
