"""Tables in memory, in parts of any size, beside those that were uploaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import pyarrow as pa

from lro import datasets

TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
}


class MemoryTable:
    """A dataset that lives as long as the test."""

    is_ready = True
    sha256 = "0" * 64

    def __init__(self, columns: dict[str, tuple[str, Sequence[Any]]], part: int, name: str = "table") -> None:
        self.id: UUID = uuid4()
        self.name = name
        self.columns = [{"name": name, "type": kind} for name, (kind, _) in columns.items()]
        arrays = {name: pa.array(list(values), TYPES[kind]) for name, (kind, values) in columns.items()}
        self.table = pa.table(arrays)
        self.part = part
        self.reads = 0

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def part_rows(self) -> list[int]:
        return [min(self.part, self.rows - start) for start in range(0, self.rows, self.part)]

    def is_visible_to(self, user: Any) -> bool:
        return True

    def read(self, part: int, columns: Sequence[str] | None = None) -> Any:
        self.reads += 1
        rows = self.table.slice(part * self.part, self.part)
        return rows if columns is None else rows.select(list(columns))

    def read_frame(self, parts: Sequence[int], columns: Sequence[str] | None = None) -> Any:
        return pl.from_arrow(pa.concat_tables([self.read(part, columns) for part in parts]))


_tables: dict[UUID, MemoryTable] = {}


def find(identifier: UUID) -> Any:
    return _tables.get(identifier)


@contextmanager
def known(*tables: MemoryTable) -> Iterator[None]:
    """The tables can be found by their ids."""
    datasets.provide(find)
    _tables.update({table.id: table for table in tables})
    try:
        yield
    finally:
        for table in tables:
            _tables.pop(table.id, None)
