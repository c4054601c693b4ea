"""Parquet: a few rows at a time, in the types that a dataset has. What is nested becomes JSON text."""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ..batches import RAW_BYTES, Batch, RowReject
from ..conformance import enforce
from ..layout import Layout
from ..parquet import bad_parquet, has_nested_dictionaries, open_parquet
from ..table_schema import Schema

BATCH_ROWS = 16_384
#: What one batch may take in memory; rows that are longer come in smaller batches, one at least.
BATCH_BYTES = 16 * 2**20
#: Of texts below lists and structs, whose dictionaries are written out before their size is known.
_NESTED_ROWS = 2_048
#: Of 0001-01-01 and of 10000-01-01, since 1970-01-01.
_DAYS = (-719_162, 2_932_897)
_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000}
#: Digits that a float keeps.
_EXACT_DIGITS = 15


class ParquetSource:
    text_types: tuple[str, ...] = ()

    def __init__(self, path: Path, layout: Layout, schema: Schema) -> None:
        self.path, self.layout, self.schema = path, layout, schema

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        done = cursor["row"] if cursor else 0
        with open_parquet(self.path) as file:
            total = max(1, file.metadata.num_rows)
            for piece in self._pieces(file, done):
                table, rejects = self._take(piece, done)
                done += piece.num_rows
                yield Batch(table, rejects, {"row": done}, min(1.0, done / total))

    def _pieces(self, file: Any, done: int) -> Iterator[pa.RecordBatch]:
        """The rows behind the first `done`, as many at a time as `BATCH_BYTES` hold."""
        groups, skipped = _groups_from(file.metadata, done)
        rows = _NESTED_ROWS if has_nested_dictionaries(file) else BATCH_ROWS
        batches = file.iter_batches(batch_size=min(rows, BATCH_ROWS), row_groups=groups, use_threads=False)
        skip = done - skipped
        try:
            for batch in batches:
                skip, unread = max(0, skip - batch.num_rows), batch.slice(min(skip, batch.num_rows))
                yield from _within(unread, BATCH_BYTES)
        except (pa.ArrowException, OSError) as error:
            raise bad_parquet(error) from None

    def _take(self, piece: pa.RecordBatch, done: int) -> tuple[pa.Table, list[RowReject]]:
        columns, broken = [], dict[int, tuple[str, str, str]]()
        for name, column in zip(self.layout.columns, piece.columns, strict=True):
            values, unreadable = plain(column)
            columns.append(values)
            for row in unreadable:
                broken.setdefault(row, (name, *_fault(column.type)))
        table = pa.table(columns, names=list(self.layout.columns))
        raw = table
        places = np.arange(table.num_rows)
        rejects = [_reject(done + row, name, code, problem, raw, row) for row, (name, code, problem) in broken.items()]
        if broken:
            places = np.delete(places, sorted(broken))
            table = table.take(pa.array(places))
        if self.schema:
            table, misfits = enforce(table, self.schema)
            rejects += [
                _reject(done + int(places[one.row]), one.column, one.code, one.problem, raw, int(places[one.row]))
                for one in misfits
            ]
        rejects.sort(key=lambda reject: reject.line)
        return table, rejects


def plain(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """A column in the type that a dataset has for it, null where that has no such value, and the rows of those."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain(column.dictionary_decode())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return _decoded(column)
    if pa.types.is_nested(kind) or pa.types.is_fixed_size_binary(kind):
        return _written(column)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        column, far = _within_years(column, kind)
        return _scalar(column, kind), far
    return _scalar(column, kind), []


def _fault(kind: Any) -> tuple[str, str]:
    """The code of a reject, and what is wrong, where `plain` cannot read a value of a column of this type."""
    if pa.types.is_temporal(kind) or (pa.types.is_nested(kind) and not pa.types.is_dictionary(kind)):
        return "type_error", "a date or time lies beyond the years 1 to 9999."
    return "invalid_encoding", "the bytes are not valid in utf-8."


def _within_years(column: pa.Array, kind: Any) -> tuple[pa.Array, list[int]]:
    """Null where a moment lies beyond the years 1 to 9999, which neither Python nor most programs know."""
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column, []  # these are of the years 1677 to 2262
    per_day = 1 if pa.types.is_date32(kind) else _PER_DAY["ms" if pa.types.is_date(kind) else kind.unit]
    numbers = column.cast(pa.int32()).cast(pa.int64()) if pa.types.is_date32(kind) else column.cast(pa.int64())
    first, behind = (days * per_day for days in _DAYS)
    is_far = pc.fill_null(pc.or_(pc.less(numbers, first), pc.greater_equal(numbers, behind)), False)
    rows = pc.indices_nonzero(is_far).to_pylist()
    return (pc.if_else(is_far, None, column) if rows else column), rows


def _written(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """Nested values as JSON text."""
    texts, far = list[str | None](), list[int]()
    for row, value in enumerate(column):
        try:
            texts.append(_json(value.as_py()) if value.is_valid else None)
        except (OverflowError, ValueError):  # of a moment in it
            texts.append(None)
            far.append(row)
    return pa.array(texts, pa.string()), far


def _scalar(column: pa.Array, kind: Any) -> pa.Array:
    if pa.types.is_integer(kind):
        return _integers(column)
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64()) if kind.precision <= _EXACT_DIGITS else column.cast(pa.string())
    if pa.types.is_date(kind):
        return column.cast(pa.date32(), safe=False)
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.timestamp("us"))
    if pa.types.is_duration(kind):
        return column.cast(pa.int64())
    return column.cast(pa.string())


def _integers(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:  # beyond 63 bits
        return column.cast(pa.string())


def _decoded(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """Bytes as text, null where they are no UTF-8, and the rows of those."""
    try:
        return column.cast(pa.string()), []
    except pa.ArrowInvalid:
        pass
    texts, undecodable = list[str | None](), list[int]()
    for row, value in enumerate(column.to_pylist()):
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            texts.append(None)
            undecodable.append(row)
    return pa.array(texts, pa.string()), undecodable


def _within(batch: pa.RecordBatch, limit: int) -> Iterator[pa.RecordBatch]:
    """A batch in slices that take at most `limit` bytes once their dictionaries are written out, or one row each."""
    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        sizes += _row_bytes(column)
    start = 0
    ends = np.cumsum(sizes)
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + limit, side="right")))
        yield batch.slice(start, stop - start)
        start = stop


def _row_bytes(column: pa.Array) -> Any:
    """About how many bytes each row of a column takes, shape (rows,) or a scalar."""
    if pa.types.is_dictionary(column.type):
        lengths = pc.binary_length(column.dictionary).take(column.indices)
        return pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return column.nbytes // max(1, len(column))


def _groups_from(metadata: Any, done: int) -> tuple[list[int], int]:
    """The row groups that hold rows behind the first `done`, and how many rows stand before those groups."""
    before = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if before + rows > done:
            return list(range(group, metadata.num_row_groups)), before
        before += rows
    return [], before


def _reject(index: int, column: str, code: str, problem: str, table: pa.Table, row: int) -> RowReject:
    number = index + 1
    raw = _json(table.slice(row, 1).to_pylist()[0])
    return RowReject(number, None, column, code, f"Row {number}, column {column}: {problem}", raw[:RAW_BYTES])


def _json(value: Any) -> str:
    """A value as JSON text, as a person would write it; bytes are hexadecimal where they stand alone."""
    return value.hex() if isinstance(value, bytes) else orjson.dumps(_storable(value), default=_other).decode()


def _storable(value: Any) -> Any:
    """Keys are texts; what is no number is null."""
    if isinstance(value, dict):
        return {str(key): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _other(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, Decimal | datetime.time) else repr(value)
