"""Count, sum, mean, deviation and range of numbers: exact, and free of the order in which they came."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from .decimals import rests
from .exact import ExactProducts, Floats
from .least_squares import root


class Moments:
    def __init__(self, sums: ExactProducts | None = None, low: float = math.inf, high: float = -math.inf) -> None:
        self._sums = sums or ExactProducts(2)
        self.low, self.high = low, high

    @property
    def count(self) -> int:
        return int(self._sums[0, 0])

    @property
    def sum(self) -> Fraction:
        return self._sums[0, 1]

    @property
    def squares(self) -> Fraction:
        """Of the distances from the mean."""
        return self._sums[1, 1] - self.sum**2 / self.count

    def add(self, values: Floats) -> None:
        """Numbers that were written as decimals count as they were written."""
        if not len(values):
            return
        rest = rests(values)
        parts = [np.vstack([np.ones_like(values), values])]
        if rest.any():
            parts.append(np.vstack([np.zeros_like(values), rest]))
        self._sums.add(*parts)
        self._widen(float(values.min()), float(values.max()))

    def add_summary(self, count: int, mean: float, rest: float, squares: float, low: float, high: float) -> None:
        """So many numbers whose distances from about their mean have the sum `rest`, and the sum of squares."""
        centre, left = Fraction(mean), Fraction(rest)
        product = Fraction(squares) + 2 * centre * left + count * centre**2
        self._sums.add_exactly([Fraction(count), count * centre + left, product])
        self._widen(low, high)

    def merge(self, other: Moments) -> None:
        self._sums.merge(other._sums)
        self._widen(other.low, other.high)

    def summary(self) -> dict[str, Any]:
        if not self.count:
            return {"count": 0, "sum": 0.0, "mean": None, "std": None, "min": None, "max": None}
        deviation = root(self.squares / (self.count - 1)) if self.count > 1 else None
        return {
            "count": self.count,
            "sum": float(self.sum),
            "mean": float(self.sum / self.count),
            "std": deviation,
            "min": self.low,
            "max": self.high,
        }

    def to_json(self) -> list[Any]:
        return [self._sums.to_json(), *([self.low, self.high] if self.count else [])]

    @classmethod
    def from_json(cls, data: list[Any]) -> Moments:
        return cls(ExactProducts.from_json(2, data[0]), *data[1:])

    def _widen(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
