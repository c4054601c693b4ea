"""One block's good rows as one Parquet file, written so that a redo is harmless."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import column_types
from .receiving import sync_folder

if TYPE_CHECKING:
    from lro.datasets import Dataset

# Measured on 12 columns of text: dictionaries and minima double the time, and the file is no smaller.
_FORMAT: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": False,
    "write_statistics": False,
}


def write_part(table: pa.Table, path: Path) -> tuple[int, str]:
    """Write `table` to `path` (zstd, one row group) and return its bytes and SHA-256.

    The file appears whole or not at all, and the same table gives the same bytes: written under
    another name in the same directory, fsynced, renamed over whatever an earlier attempt left.
    Raises OSError.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=max(table.num_rows, 1), **_FORMAT)
    content = memoryview(sink.getvalue())
    digest = hashlib.sha256(content).hexdigest()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    sync_folder(path.parent)
    return len(content), digest


def read_part(path: Path, types: Mapping[str, str], columns: Sequence[str] | None = None) -> pa.Table:
    """The part at `path`, or its `columns`, in the types of the dataset; null where the part lacks a column."""
    wanted = list(types if columns is None else columns)
    # A part is small and local: reading ahead costs more than the reading.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        names = file.schema_arrow.names
        table = file.read([name for name in wanted if name in names] or names[:1], use_threads=False)
    return pa.table([_column(table, name, types[name]) for name in wanted], names=wanted)


def _column(table: pa.Table, name: str, kind: str) -> Any:
    if name not in table.column_names:
        return column_types.absent(table.num_rows, kind)
    column = table.column(name)
    return column if column.type == column_types.ARROW_TYPES[kind] else column_types.known(column, kind)


def arrow_schema(columns: Sequence[Mapping[str, str]]) -> pa.Schema:
    """Of a dataset with these columns."""
    return pa.schema([(column["name"], column_types.ARROW_TYPES[column["type"]]) for column in columns])


def typed_parts(dataset: Dataset) -> Iterator[pa.Table]:
    """The parts of a dataset in order, all of one schema."""
    schema = arrow_schema(dataset.columns)
    for index in range(len(dataset.part_rows)):
        yield dataset.read(index).select(schema.names).cast(schema)


def first_rows(dataset: Dataset, limit: int) -> list[dict[str, Any]]:
    """The first `limit` rows as JSON data: moments in ISO 8601, in UTC; numbers that JSON lacks as `"NaN"`."""
    rows: list[dict[str, Any]] = []
    for table in typed_parts(dataset):
        rows += table.slice(0, limit - len(rows)).to_pylist()
        if len(rows) == limit:
            break
    return [{name: _as_json(value) for name, value in row.items()} for row in rows]


def _as_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return value.isoformat() if isinstance(value, date) else value
