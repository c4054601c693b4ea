"""Cutting a file into blocks of whole records, so that any block can be parsed alone.

Borders fall only between records as `records` defines them, so rows and rejects do not depend on the
block size, and an import resumed at any block's end yields what an uninterrupted one would.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from uploads.archives import open_unpacked
from uploads.encodings import as_units, unit_width
from uploads.layout import Layout
from uploads.records import MAX_RECORD, Records, scan

BLOCK_BYTES = 4 * 2**20


class Readable(Protocol):
    """A file as `archives` opens it."""

    def read(self, size: int) -> bytes: ...
    def skip_to(self, offset: int) -> None: ...


@dataclass(frozen=True)
class Cursor:
    """A record border: the byte offset of the next record and its physical line (from 1)."""

    offset: int
    line: int

    @classmethod
    def at_data(cls, layout: Layout) -> "Cursor":
        """Where the first record of a file begins."""
        return cls(layout.data_offset, layout.data_line)


@dataclass(frozen=True)
class Block:
    """Whole records in the file's own encoding.

    A line longer than `MAX_RECORD` that does not fit a block is alone in its own, which holds only
    the line's beginning: `is_cut`.
    """

    start: Cursor
    end: Cursor
    data: bytes
    known: Records | None = field(default=None, compare=False, repr=False)

    def records(self, layout: Layout) -> Records:
        """The records of `data`, found anew where the cutting is not at hand (in another process, say)."""
        if self.known is not None:
            return self.known
        units = as_units(self.data, layout.encoding)
        return scan(units, layout.delimiter, layout.quotechar, at_end=True, columns=len(layout.columns))

    @property
    def is_cut(self) -> bool:
        return self.end.offset - self.start.offset > len(self.data)


def blocks(
    path: Path, layout: Layout, start: Cursor, *, block_bytes: int = BLOCK_BYTES, stop: int | None = None
) -> Iterator[Block]:
    """Yield the blocks of `path` from `start` on, each at most `block_bytes` or one record long.

    Memory is bounded by about twice `block_bytes` plus the longest record.
    """
    with open_unpacked(path, layout.compression) as file:
        yield from cut(file, layout, start, block_bytes=block_bytes, stop=stop)


def cut(file: Readable, layout: Layout, start: Cursor, *, block_bytes: int, stop: int | None = None) -> Iterator[Block]:
    """Yield the blocks of a file that is open and has not been read beyond `start`.

    With `stop`, only records that begin before that byte offset.
    """
    file.skip_to(start.offset)
    window, wanted = _Window(layout, start, stop), block_bytes
    while not window.is_done and window.fill(file, wanted):
        block = window.cut(block_bytes) or window.cut_long_line(file)
        if block is None:
            wanted = 2 * max(len(window.buffer), 64)
            continue
        wanted = block_bytes
        yield block


class _Window:
    """The part of a file that is read but not yet given out."""

    def __init__(self, layout: Layout, start: Cursor, stop: int | None) -> None:
        self.layout = layout
        self.stop = stop
        self.cursor = start
        self.buffer = b""
        self.at_end = False
        self.width = unit_width(layout.encoding)

    @property
    def is_done(self) -> bool:
        return self.stop is not None and self.cursor.offset >= self.stop

    def fill(self, file: Readable, wanted: int) -> bool:
        """Hold at least `wanted` bytes, or all that is left; False when nothing is."""
        pieces, held = [self.buffer], len(self.buffer)
        while held < wanted and not self.at_end:
            piece = file.read(wanted - held)
            self.at_end = not piece
            pieces.append(piece)
            held += len(piece)
        self.buffer = b"".join(pieces)
        return held > 0

    def units(self) -> bytes:
        """The window as code units; half a unit counts only if no more follows."""
        whole = len(self.buffer) if self.at_end else len(self.buffer) // self.width * self.width
        return as_units(self.buffer[:whole], self.layout.encoding)

    def cut(self, block_bytes: int) -> Block | None:
        """Give out the records that end within `block_bytes`, at least one; None if none is complete."""
        layout = self.layout
        records = scan(
            self.units(), layout.delimiter, layout.quotechar, at_end=self.at_end, columns=len(layout.columns)
        )
        if not len(records.stops):
            return None
        fitting = int(records.stops.searchsorted(block_bytes // self.width, side="right"))
        if self.stop is not None:
            wanted = -(-(self.stop - self.cursor.offset) // self.width)
            fitting = min(fitting, int(records.starts.searchsorted(wanted, side="left")))
        given = records.first(max(fitting, 1))
        size = min(given.consumed * self.width, len(self.buffer))
        start = self._advance(size, given.consumed_lines)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return Block(start, self.cursor, data, given)

    def cut_long_line(self, file: Readable) -> Block | None:
        """Skip the line at the window's start if it is longer than any record may be."""
        limit = MAX_RECORD * self.width
        units = self.units()
        if len(units) <= MAX_RECORD or b"\n" in units or b"\r" in units[:-1]:
            return None
        kept, size = self.buffer[:limit], 0
        while (found := self._line_length()) is None:
            # The last unit stays: it may be the CR of a CRLF.
            done = (len(self.buffer) // self.width - 1) * self.width
            self.buffer, size = self.buffer[done:], size + done
            self.fill(file, limit)
        start = self._advance(size + found, 1)
        self.buffer = self.buffer[found:]
        return Block(start, self.cursor, kept)

    def _line_length(self) -> int | None:
        """Bytes to the end of the window's first line; None if more must be read."""
        units = self.units()
        returns, feed = units.find(b"\r"), units.find(b"\n")
        if returns >= 0 and (returns + 1 < len(units) or self.at_end) and not 0 <= feed < returns:
            return (returns + 1 + (units[returns + 1 : returns + 2] == b"\n")) * self.width
        if feed >= 0:
            return (feed + 1) * self.width
        return len(self.buffer) if self.at_end else None

    def _advance(self, size: int, lines: int) -> Cursor:
        """Move the cursor; where it was."""
        start = self.cursor
        self.cursor = Cursor(start.offset + size, start.line + lines)
        return start
