"""The cells of one column of a workbook, as an Arrow array of their type, or of text where they are of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..column_types import as_text
from ..sheets import BOOLEAN, DATE, DATETIME, DURATION, EMPTY, NUMBER, SHARED, TIME, Cell
from ..workbook import bad_workbook

_DAY_MS = 86_400_000
#: Days from 1970-01-01 to day 0; the 1900 system counts a 29 February 1900 that was none, as day 60.
_EPOCH_1900, _EPOCH_1904, _LEAP_DAY = -25_569, -24_107, 60


class ColumnBuilder:
    def __init__(self, strings: pa.Array, is_1904: bool) -> None:
        self.strings, self.is_1904 = strings, is_1904

    def column(self, kinds: Any, values: Sequence[Any]) -> pa.Array:
        """The cells of a column, of `kinds` (an array of shape (rows,)), null where one is empty."""
        present = set(np.flatnonzero(np.bincount(kinds)).tolist()) - {EMPTY}
        if present == {DATE, DATETIME}:
            present = {DATETIME}
        if len(present) < 2:
            return self._array(present.pop() if present else EMPTY, values)
        texts: list[str | None] = [None] * len(values)
        for kind in present:
            places = np.flatnonzero(kinds == kind).tolist()
            column = as_text(pa.chunked_array([self._array(kind, [values[place] for place in places])]))
            for place, text in zip(places, column.to_pylist(), strict=True):
                texts[place] = text
        return pa.array(texts, pa.string())

    def text(self, cell: Cell) -> str:
        """A cell as a line of CSV shows it."""
        kind, value = cell
        if kind not in (SHARED, BOOLEAN, DATE, DATETIME, TIME, DURATION):
            return str(value or "")
        return as_text(pa.chunked_array([self._array(kind, [value])]))[0].as_py() or ""

    def _array(self, kind: int, values: Sequence[Any]) -> pa.Array:
        if kind == SHARED:
            return self._shared(values)
        if kind == NUMBER:
            return _numbers(values)
        if kind == BOOLEAN:
            return pa.array(values, pa.bool_())
        if kind == DATE:
            return self._milliseconds(values).cast(pa.timestamp("ms")).cast(pa.date32())
        if kind == DATETIME:
            return self._milliseconds(values).cast(pa.timestamp("ms")).cast(pa.timestamp("us"))
        if kind in (TIME, DURATION):
            return pa.array([None if value is None else _clock(value, kind) for value in values], pa.string())
        return pa.array(values, pa.string())

    def _shared(self, values: Sequence[str | None]) -> pa.Array:
        try:
            texts = self.strings.take(pa.array(values, pa.string()).cast(pa.int64()))
        except pa.ArrowException:
            raise bad_workbook("a cell names a shared string that is not there") from None
        texts = texts.cast(pa.string())
        return pc.if_else(pc.equal(texts, ""), None, texts)

    def _milliseconds(self, serials: Sequence[float | None]) -> pa.Array:
        """Serial numbers as milliseconds since 1970; finer they are not."""
        days = np.array([np.nan if value is None else value for value in serials])
        missing = np.isnan(days)
        days[missing] = 0
        epoch = _EPOCH_1904 if self.is_1904 else _EPOCH_1900 + (days < _LEAP_DAY)
        return pa.array(np.rint((days + epoch) * _DAY_MS).astype(np.int64), mask=missing)


def _numbers(texts: Sequence[str | None]) -> pa.Array:
    """Integers if all are, else floats; what is no number at all stays text."""
    column = pa.array(texts, pa.string())
    for kind in (pa.int64(), pa.float64()):
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            continue
    return column


def _clock(days: float, kind: int) -> str:
    milliseconds = round(days * _DAY_MS)
    seconds, rest = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    shown = f"{hours:02}:{minute:02}:{second:02}" if kind == TIME else f"{hours}:{minute:02}:{second:02}"
    return shown + (f".{rest:03}" if rest else "")
