"""Orders with known mistakes, in the parts of an import, and the eighteen rules that find them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from django.db.models.functions import Now

from uploads.models import Dataset, Part
from uploads.parts import write_part

CUSTOMERS = 100_000
_COUNTRIES = ["AT", "BE", "CH", "CZ", "DE", "DK", "ES", "FI", "FR", "GB", "IT", "NL", "NO", "PL", "PT", "SE"]
_STATUSES = ["new", "paid", "shipped", "returned"]
_BAD = 0.001
_ROWS_OF_A_BLOCK = 1_000_000


def rules(customers: Any) -> list[dict[str, Any]]:
    return [
        {"rule": "required", "column": "id"},
        {"rule": "unique", "column": "id"},
        {"rule": "required", "column": "sku"},
        {"rule": "pattern", "column": "sku", "pattern": "SKU-[0-9]{6}"},
        {"rule": "pattern", "column": "email", "pattern": r"[a-z0-9.]+@[a-z]+\.(org|com)"},
        {"rule": "enum", "column": "country", "values": _COUNTRIES},
        {"rule": "enum", "column": "status", "values": _STATUSES},
        {"rule": "between", "column": "quantity", "minimum": 1, "maximum": 99},
        {"rule": "minimum", "column": "price", "minimum": 0},
        {"rule": "maximum", "column": "price", "maximum": 1000},
        {"rule": "between", "column": "discount", "minimum": 0, "maximum": 0.5},
        {"rule": "date_range", "column": "ordered", "minimum": "2020-01-01", "maximum": "2025-12-31"},
        {"rule": "condition", "then": "shipped >= ordered"},
        {"rule": "condition", "when": "status = 'returned'", "then": "quantity > 0 and price > 0"},
        {"rule": "length", "column": "note", "maximum": 20},
        {"rule": "null_share", "column": "note", "maximum": 0.6},
        {"rule": "mean", "column": "price", "minimum": 400, "maximum": 600},
        {"rule": "foreign_key", "column": "customer", "dataset": str(customers), "references": "id"},
    ]


def make(rows: int, part_rows: int, owner: Any, *, is_text: bool) -> tuple[UUID, UUID]:
    """The orders and the customers, as datasets: with columns of their types, or all as text."""
    ids = pa.table({"id": pa.array(np.arange(CUSTOMERS))})
    customers = _stored("customers", (ids for _ in range(1)), CUSTOMERS, owner, is_text=False)
    blocks = (_block(start, min(rows, start + _ROWS_OF_A_BLOCK)) for start in range(0, rows, _ROWS_OF_A_BLOCK))
    return _stored("orders", blocks, part_rows, owner, is_text=is_text), customers


def _block(start: int, end: int) -> pa.Table:
    random, count = np.random.default_rng(start), end - start

    def bad() -> Any:
        return random.random(count) < _BAD

    ids = np.arange(start, end)
    ids[bad()] = start
    ordered = random.integers(18_262, 20_454, count)
    numbers = random.integers(0, 1_000_000, count)
    price = np.round(random.random(count) * 1000, 2)
    notes = np.char.add("note ", numbers.astype(str))
    return pa.table(
        {
            "id": pa.array(ids, mask=bad()),
            "sku": np.where(bad(), "none", np.char.add("SKU-", np.char.zfill(numbers.astype(str), 6))),
            "email": np.where(bad(), "nobody", np.char.add(numbers.astype(str), "@example.org")),
            "country": np.where(bad(), "XX", np.array(_COUNTRIES)[random.integers(0, 16, count)]),
            "status": np.where(bad(), "lost", np.array(_STATUSES)[random.integers(0, 4, count)]),
            "quantity": np.where(bad(), -1, random.integers(1, 100, count)),
            "price": np.where(bad(), -price, price),
            "discount": np.where(bad(), 0.9, np.round(random.random(count) / 2, 2)),
            "ordered": pa.array(ordered.astype("datetime64[D]")),
            "shipped": pa.array((ordered + np.where(bad(), -5, random.integers(0, 9, count))).astype("datetime64[D]")),
            "note": pa.array(notes, mask=random.random(count) < 0.5),
            "customer": np.where(bad(), -1, random.integers(0, CUSTOMERS, count)),
        }
    )


_TYPES = {"int64": "integer", "double": "number", "date32[day]": "date", "string": "string"}


def _stored(name: str, blocks: Any, part_rows: int, owner: Any, *, is_text: bool) -> UUID:
    dataset = Dataset.objects.create(owner=owner, operation_id=UUID(int=hash(name) % 2**64), name=name, sha256="0" * 64)
    dataset.folder.mkdir(parents=True)
    index = 0
    for block in blocks:
        columns = [{"name": field.name, "type": _TYPES[str(field.type)]} for field in block.schema]
        dataset.columns, dataset.rows = columns, dataset.rows + block.num_rows
        text = block.cast(pa.schema([(field.name, pa.string()) for field in block.schema])) if is_text else block
        for start in range(0, block.num_rows, part_rows):
            part = text.slice(start, part_rows)
            size, digest = write_part(part, dataset.folder / f"{index:06d}.parquet")
            values = {"file": f"{index:06d}.parquet", "rows": part.num_rows, "bytes": size, "sha256": digest}
            Part.objects.create(dataset=dataset, index=index, **values)
            index += 1
    dataset.ready_at = Now()
    dataset.save()
    return dataset.pk
