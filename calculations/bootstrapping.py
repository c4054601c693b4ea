"""The bootstrap: blocks of resamples of a dataset's rows, each with random numbers of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lro import Fail, datasets

from .calculation import Calculation, Table
from .columns import complete, groups, numbers, read_part
from .counts import BinCounts, packed, unpacked
from .describing import dataset_provenance
from .exact import Floats
from .intervals import intervals
from .random_draws import generator
from .resampled_statistics import statistic

#: Draws of a block: about 20 ms.
_BLOCK_DRAWS = 2**20
#: Rows of resamples that are in a processor's cache at once.
_AT_ONCE_DRAWS = 2**16
_BINS = 40


class ResampleTally:
    """The statistic of each resample, in any order: at most 160 KB."""

    def __init__(self, values: list[float] | None = None) -> None:
        self.values: list[float] = values or []

    def merge(self, other: ResampleTally) -> None:
        self.values += other.values

    def ordered(self) -> Floats:
        return np.sort(np.array(self.values))

    def to_json(self) -> str:
        return packed(np.array(self.values))


class Bootstrap(Calculation):
    unit = "resamples"

    def __init__(self, data: dict[str, Any]) -> None:
        self.dataset = datasets.load(data["dataset"])
        self.seed: int = data["seed"]
        self.name: str = data["statistic"]
        self.confidence: float = data["confidence"]
        self.total = data["resamples"]
        self.statistic = statistic(self.name, data["quantile"])
        self._columns: tuple[str, str | None] = data["column"], data.get("other")

    def load(self, check: Callable[[], None]) -> None:
        """The columns; with them it is known how many blocks there are."""
        self.data, self.missing = _load(self.dataset, *self._columns, self.name, check)
        self.rows = len(self.data[0])
        if self.rows < 3:
            raise Fail("too_few_rows", f"There are {self.rows} complete rows, a bootstrap needs at least 3.")
        self.observed = float(self.statistic.of(*self.data))
        if not math.isfinite(self.observed):
            raise self._undefined()
        self._block_resamples = max(1, _BLOCK_DRAWS // self.rows)
        self.blocks = math.ceil(self.total / self._block_resamples)
        self._without_each = self.statistic.without_each(*self.data)
        at_once = max(1, _AT_ONCE_DRAWS // self.rows)
        self._drawn = [np.empty((at_once, self.rows)) for _ in self.data]

    def _undefined(self) -> Fail:
        if self.name == "correlation":
            for column, values in zip(self._columns, self.data, strict=True):
                if values.min() == values.max():
                    message = f"The column {column} has one value in all rows, with which nothing can be correlated."
                    return Fail("no_variance", message)
        return Fail("not_finite", f"The {self.name} of {self._columns[0]} is beyond the range of floats.")

    def units(self, blocks: int) -> int:
        return min(self.total, blocks * self._block_resamples)

    def empty(self) -> ResampleTally:
        return ResampleTally()

    def read(self, data: Any) -> ResampleTally:
        return ResampleTally(unpacked(data, np.float64).tolist())

    def add(self, tally: ResampleTally, block: int) -> None:
        rng = generator(self.seed, block)
        left = self.units(block + 1) - self.units(block)
        while left:
            count = min(left, len(self._drawn[0]))
            places = rng.integers(0, self.rows, (count, self.rows), dtype=np.uint32)
            # Into the same memory each time: new memory, which the system has to clear, costs a fifth of the speed.
            for column, drawn in zip(self.data, self._drawn, strict=True):
                column.take(places, out=drawn[:count], mode="clip")
            found = self.statistic.of(*(drawn[:count] for drawn in self._drawn))
            tally.values += found[np.isfinite(found)].tolist()  # a resample may lack what the statistic needs
            left -= count

    def answer(self, tally: ResampleTally) -> dict[str, Any]:
        values = tally.ordered()
        answer = {
            "statistic": self.name,
            "value": self.observed,
            "rows": self.rows,
            "rows_incomplete": self.missing,
            "resamples": len(values),
            "confidence": self.confidence,
        }
        if len(values) < 2:
            return answer
        histogram = BinCounts(float(values[0]), float(np.nextafter(values[-1], np.inf)), _BINS)
        if values[-1] > values[0]:
            histogram.add(values)
        return {
            **answer,
            "standard_error": float(values.std(ddof=1)),
            "bias": float(values.mean() - self.observed),
            "intervals": intervals(self.observed, values, self._without_each, self.confidence),
            "histogram": histogram.coarse(_BINS) if values[-1] > values[0] else None,
        }

    def tables(self, tally: ResampleTally) -> list[Table]:
        rows: Iterator[list[Any]] = ([value] for value in tally.ordered().tolist())
        return [Table("resamples.csv", [self.name], rows)]

    def provenance(self) -> dict[str, Any]:
        own = {"seed": self.seed, "block_resamples": self._block_resamples}
        return {**own, **dataset_provenance(self.dataset)}


def _load(
    dataset: datasets.Dataset, column: str, other: str | None, name: str, check: Callable[[], None]
) -> tuple[list[Floats], int]:
    """The columns of the complete rows of all parts, and how many rows are not."""
    parts, missing = [], 0
    for part in range(len(dataset.part_rows)):
        check()
        table = read_part(dataset, part, [column, *([other] if other else [])])
        rows, gaps = _rows(table, column, other, name, part)
        parts.append(rows)
        missing += gaps
    if not parts:
        raise Fail("too_few_rows", f"The dataset {dataset.name} has no rows.")
    if name == "difference_of_means":
        parts = _told_apart(parts, str(other))
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)], missing


def _rows(table: Any, column: str, other: str | None, name: str, part: int) -> tuple[list[Any], int]:
    if name != "difference_of_means":
        return complete([numbers(table, each, part) for each in (column, other) if each])
    values, present = numbers(table, column, part)
    labels, codes = groups(table, str(other))
    named = np.array(labels, dtype=object)[codes]
    present &= np.array([label is not None for label in labels], dtype=bool)[codes]
    return [values[present], named[present]], int(len(present) - present.sum())


def _told_apart(parts: list[Any], other: str) -> list[list[Floats]]:
    """With 0 and 1 in place of two words, in their order."""
    words = sorted({word for _, named in parts for word in named})
    if len(words) != 2:
        message = f"The column {other} has {len(words):,} values; to compare two means it must have 2."
        raise Fail("not_two_groups", message)
    return [[values, (named == words[1]).astype(np.float64)] for values, named in parts]
