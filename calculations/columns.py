"""The columns of a dataset's part as arrays: numbers with their gaps, and values by which rows are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lro import datasets

from .calculation import not_finite
from .exact import Floats

Mask = NDArray[np.bool_]


def read_part(dataset: datasets.Dataset, part: int, names: Sequence[str]) -> Any:
    return dataset.read(part, list(dict.fromkeys(names)))


def numbers(table: Any, name: str, part: int) -> tuple[Floats, Mask]:
    """The column as floats, 0 where there is none, and where there are any. Raises `Fail` for NaN and infinities."""
    column = table.column(name)
    present = np.asarray(column.is_valid().to_numpy())
    values = np.asarray(column.fill_null(0).to_numpy(), dtype=np.float64)
    if not np.isfinite(values).all():
        raise not_finite(part, f"a value of the column {name}")
    return values, present


def complete(table: Any, names: Sequence[str], part: int) -> tuple[list[Floats], int]:
    """The columns of the rows that miss none of them, and how many rows do."""
    found = [numbers(table, name, part) for name in names]
    present = np.logical_and.reduce([mask for _, mask in found])
    return [values[present] for values, _ in found], int(len(present) - present.sum())


def hashes(table: Any, name: str) -> NDArray[np.uint64]:
    """Of the values that are there, each once."""
    import polars as pl

    column = pl.Series(table.column(name)).drop_nulls().unique()
    return column.hash(seed=0).to_numpy()


def groups(table: Any, name: str) -> tuple[list[Any], NDArray[np.int64]]:
    """The different values of the column as text or None, and for each row which one it has."""
    encoded = table.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
    labels = [None if value is None else str(value) for value in encoded.dictionary.to_pylist()]
    return labels, np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
