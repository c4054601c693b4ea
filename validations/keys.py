"""The columns by which rows are told apart: as a frame with row numbers, and as 64-bit hashes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

ROW = "row"


def keys_of(frame: Any, columns: Sequence[str], first_row: int, *, keeps_nulls: bool, cast: Any = None) -> Any:
    """Columns `0`, `1`, … for the keys, cast to the types of `cast`, and `row`; without rows that hold a null."""
    wanted = [pl.col(name).alias(str(index)) for index, name in enumerate(columns)]
    if cast is not None:
        wanted = [column.cast(dtype) for column, dtype in zip(wanted, cast, strict=True)]
    keys = frame.select(*wanted, pl.int_range(first_row, first_row + pl.len(), dtype=pl.Int64).alias(ROW))
    return keys if keeps_nulls else keys.drop_nulls()


def hashes_of(keys: Any) -> Any:
    """A 64-bit hash of each row's keys, the same in every process of one installation."""
    return keys.drop(ROW).hash_rows().to_numpy()


def are_among(hashes: Any, ordered: Any) -> Any:
    """Which of the hashes are in the ascending array `ordered`."""
    if not len(ordered):
        return np.zeros(len(hashes), dtype=bool)
    places = np.searchsorted(ordered, hashes)
    return ordered[np.minimum(places, len(ordered) - 1)] == hashes
