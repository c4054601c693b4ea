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


def complete(columns: Sequence[tuple[Floats, Mask]]) -> tuple[list[Floats], int]:
    """The columns of the rows that miss none of them, and how many rows do."""
    present = np.logical_and.reduce([mask for _, mask in columns])
    return [values[present] for values, _ in columns], int(len(present) - present.sum())


def number_hashes(values: Floats) -> NDArray[np.uint64]:
    """SplitMix64 of the bits; the two zeros are one number."""
    bits = (values + 0.0).view(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def word_hashes(column: Any) -> NDArray[np.uint64]:
    """Of the values that are there."""
    import polars as pl

    return pl.Series(column.drop_null()).hash(seed=0).to_numpy()


def groups(table: Any, name: str) -> tuple[list[Any], NDArray[np.int64]]:
    """The different values of the column as text or None, and for each row which one it has."""
    encoded = table.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
    labels = [None if value is None else str(value) for value in encoded.dictionary.to_pylist()]
    return labels, np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
