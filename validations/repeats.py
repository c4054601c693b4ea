"""Rows whose key was there before: exact, in bounded memory.

While the table is read, a 64-bit hash of each key goes to a file. Hashes that are there twice are suspects; a second
reading compares the suspects' keys themselves. Good data has no suspect, and needs no second reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .keys import ROW, are_among, hashes_of

#: Hashes that are held at once (64 MB), and distinct keys.
HELD_HASHES, HELD_KEYS = 8_000_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """How many rows repeat an earlier one, and the first of them, ascending."""

    count: int
    rows: list[int]


class HashFile:
    """The hashes of the keys read so far, of the batches from 0 on."""

    def __init__(self, path: Path) -> None:
        self.path, self.batches = path, 0
        path.touch()

    def add(self, keys: Any) -> None:
        with self.path.open("ab") as file:
            hashes_of(keys).tofile(file)
        self.batches += 1

    def suspects(self) -> Iterator[Any]:
        """Hashes that are there more than once, ascending, a bucket of them at a time."""
        count = self.path.stat().st_size // 8
        if not count:
            return
        stored = np.memmap(self.path, dtype=np.uint64, mode="r")
        buckets = -(-count // HELD_HASHES)
        for bucket in range(buckets):
            hashes = np.sort(stored) if buckets == 1 else np.sort(_bucket(stored, bucket, buckets))
            repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
            yield from np.array_split(repeated, -(-len(repeated) // HELD_KEYS)) if len(repeated) else ()


def _bucket(stored: Any, bucket: int, buckets: int) -> Any:
    slices = (stored[start : start + HELD_HASHES] for start in range(0, len(stored), HELD_HASHES))
    return np.concatenate([part[part % np.uint64(buckets) == bucket] for part in slices])


def repeats(hashes: HashFile, read_keys: Callable[[], Iterator[Any]], at_most: int) -> Found:
    """Count the rows that repeat an earlier one, by as many readings as there are buckets of suspects."""
    count = 0
    rows: list[int] = []
    for suspects in hashes.suspects():
        found = _compare(read_keys(), suspects, at_most)
        count += found.count
        rows += found.rows
    return Found(count, nsmallest(at_most, rows))


def _compare(readings: Iterator[Any], suspects: Any, at_most: int) -> Found:
    seen, pending = None, []
    rows: list[int] = []
    for keys in readings:
        likely = keys.filter(pl.Series(are_among(hashes_of(keys), suspects)))
        if not likely.height:
            continue
        first = _is_first(likely)
        rows = nsmallest(at_most, rows + likely.filter(~first)[ROW].head(at_most).to_list())
        pending.append(_grouped(likely.with_columns(pl.lit(1, dtype=pl.Int64).alias("count"))))
        if sum(frame.height for frame in pending) > HELD_KEYS:
            seen, again = _fold(seen, pending, at_most)
            rows, pending = nsmallest(at_most, rows + again), []
    seen, again = _fold(seen, pending, at_most)
    if seen is None:
        return Found(0, [])
    return Found(int(seen["count"].sum()) - seen.height, nsmallest(at_most, rows + again))


def _is_first(keys: Any) -> Any:
    return keys.select(pl.struct(pl.exclude(ROW)).is_first_distinct()).to_series()


def _grouped(keys: Any) -> Any:
    return keys.group_by(pl.exclude(ROW, "count")).agg(pl.col(ROW).min(), pl.col("count").sum())


def _fold(seen: Any, pending: list[Any], at_most: int) -> tuple[Any, list[int]]:
    """One row a key, and the first rows whose key an earlier batch had."""
    frames = ([] if seen is None else [seen]) + pending
    if not frames:
        return None, []
    together = pl.concat(frames)
    folded = _grouped(together)
    again = together.join(folded.select(ROW), on=ROW, how="anti")[ROW]
    return folded, again.sort().head(at_most).to_list()
