"""What is counted of one column of a dataset, of its groups, and of how columns go together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lro import Fail

from .distinct_values import DistinctValues
from .exact import ExactProducts, Floats
from .least_squares import root
from .moments import Moments
from .value_counts import ValueCounts


class NumberTally:
    """Of a numeric column."""

    def __init__(self, room: int, distinct_room: int) -> None:
        self.missing = 0
        self.moments = Moments()
        self.values = ValueCounts(room)
        self.distinct = DistinctValues(distinct_room)

    def add(self, values: Floats, missing: int, hashes: NDArray[np.uint64]) -> None:
        self.missing += missing
        self.moments.add(values)
        self.values.add(values)
        self.distinct.add(hashes)

    def merge(self, other: NumberTally) -> None:
        self.missing += other.missing
        self.moments.merge(other.moments)
        self.values.merge(other.values)
        self.distinct.merge(other.distinct)

    def summary(self, quantiles: list[float], bins: int) -> dict[str, Any]:
        summary = {**self.moments.summary(), "missing": self.missing, "distinct": self._distinct()}
        if not self.moments.count:
            return summary
        low, high = self.moments.low, self.moments.high
        found = self.values.quantiles(quantiles, low, high)
        return {
            **summary,
            "quantiles": [{"share": share, "value": value} for share, value in zip(quantiles, found, strict=True)],
            "quantile_error": self.values.relative_error,
            "histogram": {"low": low, "high": high, "counts": self._histogram(bins)} if bins else None,
        }

    def _distinct(self) -> dict[str, Any]:
        exact = self.values.distinct
        if exact is not None:
            return {"count": exact, "error": 0.0}
        return {"count": self.distinct.count, "error": self.distinct.relative_error}

    def _histogram(self, bins: int) -> list[int]:
        values, counts = self.values.values()
        low, high = self.moments.low, self.moments.high
        edges = np.linspace(low, high, bins + 1)
        place = np.searchsorted(edges, np.clip(values, low, high), side="right") - 1
        return [int(count) for count in np.bincount(np.clip(place, 0, bins - 1), counts, minlength=bins)]

    def to_json(self) -> list[Any]:
        return [self.missing, self.moments.to_json(), self.values.to_json(), self.distinct.to_json()]

    def read(self, data: list[Any]) -> NumberTally:
        own = NumberTally(self.values.room, self.distinct.room)
        own.missing, own.moments = data[0], Moments.from_json(data[1])
        own.values = ValueCounts.from_json(self.values.room, data[2])
        own.distinct = DistinctValues.from_json(self.distinct.room, data[3])
        return own


class WordTally:
    """Of any other column; `low` and `high` are kept of dates, as text."""

    def __init__(self, distinct_room: int) -> None:
        self.count = self.missing = 0
        self.low: str | None = None
        self.high: str | None = None
        self.distinct = DistinctValues(distinct_room)

    def add(self, count: int, missing: int, ends: tuple[str, str] | None, hashes: NDArray[np.uint64]) -> None:
        self.count += count
        self.missing += missing
        self.distinct.add(hashes)
        if ends is not None:
            self._widen(*ends)

    def merge(self, other: WordTally) -> None:
        self.count += other.count
        self.missing += other.missing
        self.distinct.merge(other.distinct)
        if other.low is not None and other.high is not None:
            self._widen(other.low, other.high)

    def summary(self, quantiles: list[float], bins: int) -> dict[str, Any]:
        distinct = {"count": self.distinct.count, "error": self.distinct.relative_error}
        ends = {} if self.low is None else {"min": self.low, "max": self.high}
        return {"count": self.count, "missing": self.missing, "distinct": distinct, **ends}

    def _widen(self, low: str, high: str) -> None:
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def to_json(self) -> list[Any]:
        return [self.count, self.missing, self.low, self.high, self.distinct.to_json()]

    def read(self, data: list[Any]) -> WordTally:
        own = WordTally(self.distinct.room)
        own.count, own.missing, own.low, own.high = data[:4]
        own.distinct = DistinctValues.from_json(self.distinct.room, data[4])
        return own


class GroupTally:
    """Of each group of rows: how many there are, and each numeric column's moments."""

    def __init__(self, columns: int, most_groups: int) -> None:
        self.columns, self.most_groups = columns, most_groups
        self.rows: dict[str | None, int] = {}
        self.moments: dict[str | None, list[Moments]] = {}

    def count(self, labels: list[str | None], codes: NDArray[np.int64]) -> None:
        for label, rows in zip(labels, np.bincount(codes, minlength=len(labels)).tolist(), strict=True):
            self._group(label, rows)

    def add(self, column: int, labels: list[str | None], codes: NDArray[np.int64], values: Floats) -> None:
        """The column's numbers, and which group each belongs to."""
        size = len(labels)
        counts = np.bincount(codes, minlength=size)
        means = np.bincount(codes, values, minlength=size) / np.maximum(counts, 1)
        centred = values - means[codes]
        sums, squares = np.bincount(codes, centred, minlength=size), np.bincount(codes, centred**2, minlength=size)
        low, high = np.full(size, math.inf), np.full(size, -math.inf)
        np.minimum.at(low, codes, values)
        np.maximum.at(high, codes, values)
        for index in counts.nonzero()[0].tolist():
            figures = (each[index].item() for each in (counts, means, sums, squares, low, high))
            self.moments[labels[index]][column].add_summary(*figures)

    def merge(self, other: GroupTally) -> None:
        for label, rows in other.rows.items():
            self._group(label, rows)
            for mine, its in zip(self.moments[label], other.moments[label], strict=True):
                mine.merge(its)

    def _group(self, label: str | None, rows: int) -> None:
        if label not in self.rows:
            if len(self.rows) >= self.most_groups:
                message = f"There are more than {self.most_groups:,} groups; name fewer columns, or another group."
                raise Fail("too_many_groups", message)
            self.rows[label] = 0
            self.moments[label] = [Moments() for _ in range(self.columns)]
        self.rows[label] += rows

    def ordered(self) -> list[str | None]:
        return sorted(self.rows, key=lambda label: (label is None, label or ""))

    def to_json(self) -> list[Any]:
        return [[label, self.rows[label], [each.to_json() for each in self.moments[label]]] for label in self.ordered()]

    def read(self, data: list[Any]) -> GroupTally:
        own = GroupTally(self.columns, self.most_groups)
        for label, rows, moments in data:
            own.rows[label], own.moments[label] = rows, [Moments.from_json(each) for each in moments]
        return own


def correlations(products: ExactProducts) -> list[list[float | None]]:
    """Between the columns of `products` but the first, which is 1; None where one of both does not vary."""
    rows, size = products[0, 0], products.columns
    if not rows:
        return [[None] * (size - 1) for _ in range(size - 1)]

    def covariance(i: int, j: int) -> Any:
        return products[i, j] - products[0, i] * products[0, j] / rows

    deviations = [root(covariance(i, i)) for i in range(size)]

    def between(i: int, j: int) -> float | None:
        scale = deviations[i] * deviations[j]
        return None if not scale else 1.0 if i == j else max(-1.0, min(1.0, float(covariance(i, j)) / scale))

    return [[between(i, j) for j in range(1, size)] for i in range(1, size)]
