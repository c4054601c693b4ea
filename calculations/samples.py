"""What independent observations come to: means, covariances and standard errors, and a histogram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .counts import BinCounts
from .exact import ExactProducts


@dataclass
class Sample:
    """Sums of observations and of their products, with 1 as the first; and a histogram."""

    sums: ExactProducts
    histogram: BinCounts

    def merge(self, other: Sample) -> None:
        self.sums.merge(other.sums)
        self.histogram.merge(other.histogram)

    def to_json(self) -> dict[str, Any]:
        return {"sums": self.sums.to_json(), "histogram": self.histogram.to_json()}

    @property
    def count(self) -> int:
        return int(self.sums[0, 0])

    def mean(self, column: int) -> float:
        return float(self.sums[0, column] / self.count)

    def covariance(self, left: int, right: int) -> float:
        if self.count < 2:
            return math.nan
        product = self.sums[left, right] - self.sums[0, left] * self.sums[0, right] / self.count
        return float(product / (self.count - 1))

    def standard_error(self, column: int) -> float:
        return math.sqrt(max(0.0, self.covariance(column, column)) / self.count)


def known(value: Any) -> Any:
    """None in place of what is not known yet, which JSON has no number for."""
    values = value if isinstance(value, list) else [value]
    return value if all(math.isfinite(each) for each in values) else None
