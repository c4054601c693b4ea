"""JSON Lines: objects to columns. A number is a number and a text a text, whatever it looks like."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from .. import json_lines
from ..archives import open_unpacked
from ..batches import Batch, RowReject
from ..column_types import TEXT_DATES, as_text
from ..conformance import enforce
from ..json_lines import Objects
from ..layout import Layout
from ..table_schema import Schema

BLOCK_BYTES = 2 * 2**20
_COLUMNS = (
    (pa.string(), {str}),
    (pa.int64(), {int}),
    (pa.bool_(), {bool}),
    (pa.float64(), {int, float}),
)


class JsonLinesSource:
    text_types: tuple[str, ...] = TEXT_DATES

    def __init__(self, path: Path, layout: Layout, schema: Schema) -> None:
        self.path, self.layout, self.schema = path, layout, schema
        self.columns = dict.fromkeys(layout.columns)

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        start = cursor or {"offset": self.layout.data_offset, "line": self.layout.data_line}
        with open_unpacked(self.path, self.layout.compression) as file:
            for lines in json_lines.cut(file, **start, block_bytes=BLOCK_BYTES):
                table, rejects = self._take(json_lines.parse(lines))
                end = {"offset": lines.next_offset, "line": lines.next_line}
                fraction = file.fraction if self.layout.compression else min(1.0, lines.next_offset / file.size)
                yield Batch(table, rejects, end, fraction)

    def _take(self, found: Objects) -> tuple[pa.Table, list[RowReject]]:
        table = pa.table(self._columns(found.rows))
        rejects = found.rejects
        if self.schema:
            table, misfits = enforce(table, self.schema)
            rejects = rejects + [
                json_lines.row_reject(*found.place(found.indices[one.row]), one.code, one.problem, one.column)
                for one in misfits
            ]
            rejects.sort(key=lambda reject: reject.line)
        return table, rejects

    def _columns(self, rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
        shapes = list(dict.fromkeys(map(tuple, rows)))
        names = self._names(shapes)
        if len(shapes) == 1 and names == list(shapes[0]):
            values = zip(*map(dict.values, rows), strict=True)
            return {name: column(cells) for name, cells in zip(names, values, strict=True)}
        return {name: column([row.get(name) for row in rows]) for name in names}

    def _names(self, shapes: list[tuple[str, ...]]) -> list[str]:
        """The keys of these shapes of objects, in the order in which the file brought them first."""
        seen = dict.fromkeys(chain.from_iterable(shapes))
        if seen.keys() - self.columns.keys():
            self.columns.update(seen)
            json_lines.check_keys(self.columns)
        known = [name for name in self.columns if name in seen]
        return known or list(self.columns)[:1]  # objects without a key are rows all the same


def column(values: Sequence[Any]) -> pa.Array:
    """Values of one kind as a column of their type, others as text; arrays and objects are JSON text."""
    kinds = set(map(type, values))
    kinds.discard(type(None))
    for kind, types in _COLUMNS:
        if kinds <= types:
            try:
                return pa.array(values, kind)
            except (pa.ArrowInvalid, OverflowError):  # an integer that the type does not hold exactly
                continue
    return pa.array(map(_text, values), pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        text: str = as_text(pa.chunked_array([[value]]))[0].as_py()
        return text
    return orjson.dumps(value).decode() if not isinstance(value, int) or isinstance(value, bool) else str(value)
