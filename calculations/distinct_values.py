"""How many different values there are: exact while they are few, else estimated from the smallest of their hashes.

The smallest hashes of all are the smallest of those of the parts, so this too may be merged in any order.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .counts import packed, unpacked

Hashes = NDArray[np.uint64]


class DistinctValues:
    def __init__(self, room: int, hashes: Hashes | None = None) -> None:
        self.room = room
        self._smallest = np.empty(0, np.uint64) if hashes is None else hashes

    @property
    def is_exact(self) -> bool:
        return len(self._smallest) < self.room

    @property
    def relative_error(self) -> float:
        """The standard error, as a share of the count."""
        return 0.0 if self.is_exact else 1 / math.sqrt(self.room - 2)

    @property
    def count(self) -> int:
        if self.is_exact:
            return len(self._smallest)
        return round((self.room - 1) / (float(self._smallest[-1]) / 2.0**64))

    def add(self, hashes: Hashes) -> None:
        if not self.is_exact:
            hashes = hashes[hashes < self._smallest[-1]]
        self._smallest = np.unique(np.concatenate([self._smallest, hashes]))[: self.room]

    def merge(self, other: DistinctValues) -> None:
        self.add(other._smallest)

    def to_json(self) -> str:
        return packed(self._smallest)

    @classmethod
    def from_json(cls, room: int, text: str) -> DistinctValues:
        return cls(room, unpacked(text, np.uint64))
