"""Counts in bins of equal width: they add as whole numbers."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .exact import Floats


class BinCounts:
    """Of values from `low` to `high`; the first and the last count are of what lies outside."""

    def __init__(self, low: float, high: float, bins: int, counts: NDArray[np.int64] | None = None) -> None:
        self.low, self.high, self.bins = low, high, bins
        self.counts = np.zeros(bins + 2, np.int64) if counts is None else counts

    @property
    def width(self) -> float:
        return (self.high - self.low) / self.bins

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def edges(self) -> Floats:
        return np.linspace(self.low, self.high, self.bins + 1)

    def add(self, values: Floats) -> None:
        """Numbers that are not finite are no one's: whoever counts sums too, and sees them there."""
        if not np.isfinite(values).all():
            return
        place = (values - self.low) * (1.0 / self.width)
        np.clip(place, -1.0, self.bins, out=place)
        place += 1.0
        self.counts += np.bincount(place.astype(np.int32), minlength=self.bins + 2)

    def merge(self, other: BinCounts) -> None:
        self.counts += other.counts

    def share_above(self) -> Floats:
        """The share of values above each edge."""
        return np.asarray(self.counts[::-1].cumsum()[::-1][1:] / max(1, self.total))

    def coarse(self, bins: int) -> dict[str, Any]:
        """As a result shows it: bins of equal width from `low` to `high`, with what lies outside apart."""
        inner = self.counts[1:-1].reshape(bins, -1).sum(axis=1)
        return {
            "low": self.low,
            "high": self.high,
            "counts": inner.tolist(),
            "below": int(self.counts[0]),
            "above": int(self.counts[-1]),
        }

    def to_json(self) -> str:
        return packed(self.counts)

    def read(self, text: str) -> BinCounts:
        """The counts that `to_json` wrote, in the same bins."""
        return BinCounts(self.low, self.high, self.bins, unpacked(text, np.int64))


def packed(values: NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 1)).decode()


def unpacked(text: str, kind: Any) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind).copy()
