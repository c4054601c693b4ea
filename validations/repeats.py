"""Rows whose key was there before: exact, in bounded memory.

While the table is read, a 64-bit hash of each key goes to a file. Hashes that are there twice are suspects; a second
reading compares the suspects' keys themselves. Good data has no suspect, and needs no second reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .keys import ROW, are_among, hashes_of

#: Hashes that are held at once (64 MB), and distinct keys.
HELD_HASHES, HELD_KEYS = 8_000_000, 1_000_000
Check = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Found:
    """How many rows repeat an earlier one, and the first of them, ascending."""

    count: int
    rows: list[int]


class HashFile:
    """The hashes of the keys read so far, of the batches from 0 on, and beside them the numbers of the rows.

    Of a single column of whole numbers, dates or the like the values themselves are kept, which need no second reading.
    """

    def __init__(self, path: Path, dtypes: Sequence[Any]) -> None:
        self.path, self.batches = path, 0
        self.rows_path = path.with_name(f"{path.name}-rows")
        self.is_exact = len(dtypes) == 1 and (dtypes[0].is_integer() or dtypes[0].is_temporal())
        path.touch()

    def add(self, keys: Any) -> None:
        values = _as_integers(keys) if self.is_exact else hashes_of(keys)
        with self.path.open("ab") as file:
            values.tofile(file)
        if self.is_exact:
            with self.rows_path.open("ab") as file:
                keys[ROW].to_numpy().tofile(file)
        self.batches += 1

    def suspects(self, check: Check) -> Iterator[Any]:
        """Hashes that are there more than once, ascending, a bucket of them at a time."""
        for _, hashes in self._buckets(check):
            repeated = _repeated(hashes)
            check()
            if len(repeated):
                yield from np.array_split(repeated, -(-len(repeated) // HELD_KEYS))

    def repeats(self, at_most: int, check: Check) -> Found:
        """Of exact values: what repeats an earlier one."""
        count, found = 0, np.empty(0, dtype=np.int64)
        for places, values in self._buckets(check):
            repeated = _repeated(values if places is None else values.copy())
            check()
            if not len(repeated):
                continue
            if places is None:
                self._put_back(values)
            order = _in_order(values, repeated)
            check()
            again = order[1:][values[order][1:] == values[order][:-1]]
            count += len(again)
            again = again if places is None else places[again]
            found = np.sort(np.concatenate([found, again]))[:at_most]
        return Found(count, [self._row(place) for place in found.tolist()])

    def _row(self, place: int) -> int:
        """The number of the row whose key stands there; rows stand in their order."""
        return int(np.fromfile(self.rows_path, dtype=np.int64, count=1, offset=8 * place)[0])

    def _put_back(self, values: Any) -> None:
        """All of them as they stand in the file, in the memory that they were sorted in: new memory costs more."""
        with self.path.open("rb") as file:
            file.readinto(values.data.cast("B"))

    @property
    def size(self) -> int:
        return self.path.stat().st_size // 8

    def _buckets(self, check: Check) -> Iterator[tuple[Any, Any]]:
        """Places in the file (None: all of them) and what is there; equal hashes are in one bucket."""
        if not self.size:
            return
        buckets = -(-self.size // HELD_HASHES)
        if buckets == 1:
            yield None, self._stored(0)
            return
        for bucket in range(buckets):
            places, values = [], []
            for start in range(0, self.size, HELD_HASHES):
                check()
                hashes = self._stored(start)
                own = np.flatnonzero(_mixed(hashes) % np.uint64(buckets) == bucket)
                places.append(start + own)
                values.append(hashes[own])
            yield np.concatenate(places), np.concatenate(values)

    def _stored(self, start: int) -> Any:
        return np.fromfile(self.path, dtype=np.uint64, count=HELD_HASHES, offset=8 * start)


def _mixed(values: Any) -> Any:
    """Values that are no hashes, as times on the full second, would else all be of one bucket."""
    return (values * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)


def _repeated(hashes: Any) -> Any:
    """Those that are there more than once, ascending. Sorts what it is given."""
    hashes.sort()
    again = hashes[1:][hashes[1:] == hashes[:-1]]
    return again[np.concatenate([[True], again[1:] != again[:-1]])] if len(again) else again


def _in_order(values: Any, repeated: Any) -> Any:
    """The places of values that are there more than once, by the values and then by the places.

    Where they are many, to order all is quicker than to look up which they are.
    """
    if 8 * len(repeated) > len(values):
        return np.argsort(values, kind="stable")
    likely = np.flatnonzero(pl.Series(values).is_in(pl.Series(repeated).implode()).to_numpy())
    return likely[np.argsort(values[likely], kind="stable")]


def _as_integers(keys: Any) -> Any:
    return keys["0"].to_physical().cast(pl.Int64).to_numpy().view(np.uint64)


def repeats(hashes: HashFile, read_keys: Callable[[], Iterator[Any]], at_most: int, check: Check) -> Found:
    """Count the rows that repeat an earlier one, by as many readings as there are buckets of suspects.

    `check` is called often, and raises where that should end.
    """
    if hashes.is_exact:
        return hashes.repeats(at_most, check)
    count = 0
    rows: list[int] = []
    for suspects in hashes.suspects(check):
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
