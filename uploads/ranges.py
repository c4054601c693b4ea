"""Dividing a delimited file into ranges, so that several processes import it at once.

Where a record begins can be known only from the records before it: a line may stand within quotes. So borders are
guessed, at line starts from which records of the right width follow; each range is read to the first record border
at or behind its end; and a range whose guess turns out not to be the border at which the one before it ended is read
again from there. So the result never depends on the guess, only the time does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from .blocks import Cursor
from .encodings import as_units, unit_width
from .layout import Layout
from .records import BLANK, line_ends, scan

_WINDOW = 256 * 1024
_CHUNK = 4 * 2**20
_CANDIDATES = 64
_JUDGED = 20


class Range(NamedTuple):
    """Records that start at `start` or behind it, and before the byte offset `stop`."""

    start: Cursor
    stop: int


def divide(path: Path, layout: Layout, count: int, on_chunk: Callable[[], object] = lambda: None) -> list[Range]:
    """At most `count` ranges of about the same size, the first from the first record on; none where there is none.

    Reads the whole file once, to count its lines; `on_chunk` is called every few MiB.
    """
    size, first = path.stat().st_size, Cursor.at_data(layout)
    with path.open("rb") as file:
        offsets = [first.offset, *_borders(file, layout, size, count), size]
        starts = [first]
        for start, stop in pairwise(offsets[:-1]):
            lines = _lines(file, layout, start, stop, on_chunk)
            starts.append(Cursor(stop, starts[-1].line + lines))
    return [Range(start, stop) for start, stop in zip(starts, offsets[1:], strict=True) if start.offset < stop]


def _borders(file: BinaryIO, layout: Layout, size: int, count: int) -> Iterator[int]:
    width, first = unit_width(layout.encoding), layout.data_offset
    last = first
    for number in range(1, count):
        wanted = first + (size - first) * number // count // width * width
        border = _guess(file, layout, max(wanted, last))
        if border is not None and last < border < size:
            last = border
            yield border


def _guess(file: BinaryIO, layout: Layout, offset: int) -> int | None:
    """The offset of a line start behind `offset` that is likely a record's; None where no line ends in sight."""
    width = unit_width(layout.encoding)
    file.seek(offset)
    units = as_units(file.read(_WINDOW), layout.encoding)
    ends = line_ends(np.frombuffer(units, np.uint8), at_end=False)[:_CANDIDATES].tolist()
    if not ends:
        return None
    best = max(ends, key=lambda end: (_likelihood(units[end:], layout), -end))
    return offset + int(best) * width


def _likelihood(units: bytes, layout: Layout) -> float:
    """The share of records of the right width among the first ones, if a record began here."""
    columns = len(layout.columns)
    fields = scan(units[: _WINDOW // 4], layout.delimiter, layout.quotechar, at_end=False, columns=columns).fields
    judged = fields[fields != BLANK][:_JUDGED]
    if not len(judged) or judged[0] != columns:
        return 0.0
    return float(np.mean(judged == columns))


def _lines(file: BinaryIO, layout: Layout, start: int, stop: int, on_chunk: Callable[[], object]) -> int:
    """The physical lines from one line start to another."""
    file.seek(start)
    lines, ends_in_return, left = 0, False, stop - start
    while left and (data := file.read(min(_CHUNK, left))):
        on_chunk()
        left -= len(data)
        units = as_units(data, layout.encoding)
        lines += units.count(b"\n")
        if b"\r" in units or ends_in_return:
            lines += units.count(b"\r") - units.count(b"\r\n") - (ends_in_return and units.startswith(b"\n"))
        ends_in_return = units.endswith(b"\r")
    return lines
