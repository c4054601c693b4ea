"""How often each value occurs, in bounded memory: exact while there are few, else to so many binary digits.

A value's key is the whole number whose order is that of the floats. Where there are more keys than there is room for,
all lose their last bit, and equal ones are counted together. How many bits are lost in the end depends on the values
alone, not on their order or on how they were dealt out, so that counts can be merged in any way and stay the same.
Sketches that promise a rank (KLL, t-digest) flip coins or depend on the order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .counts import packed, unpacked
from .exact import Floats

Keys = NDArray[np.int64]
_MANTISSA_BITS = 52
#: Keys so near to each other are counted without sorting them.
_DENSE = 2**17


class ValueCounts:
    def __init__(self, room: int, dropped: int = 0, keys: Keys | None = None, counts: Keys | None = None) -> None:
        self.room, self.dropped = room, dropped
        self._keys = np.empty(0, np.int64) if keys is None else keys
        self._counts = np.empty(0, np.int64) if counts is None else counts

    @property
    def is_exact(self) -> bool:
        return self.dropped == 0

    @property
    def relative_error(self) -> float:
        """By how much of itself a value that is told may be off."""
        return 0.0 if self.is_exact else math.ldexp(1.0, self.dropped - _MANTISSA_BITS - 1)

    @property
    def distinct(self) -> int | None:
        """None where values were counted together."""
        return len(self._keys) if self.is_exact else None

    def add(self, values: Floats) -> None:
        self._absorb(*_counted(_keys_of(values) >> self.dropped))

    def merge(self, other: ValueCounts) -> None:
        self._drop(other.dropped - self.dropped)
        self._absorb(*_reduced(other._keys, other._counts, self.dropped - other.dropped))

    def values(self) -> tuple[Floats, Keys]:
        """One value for each key, the middle of those that have it, and how often it occurs."""
        low = self._keys << self.dropped
        middle = low + (1 << self.dropped >> 1)
        return _values_of(middle), self._counts

    def quantiles(self, shares: list[float], low: float, high: float) -> list[float]:
        """By linear interpolation between the two values that are next to the rank, as numpy and R do."""
        values, counts = self.values()
        ends = counts.cumsum()

        def ranked(rank: int) -> float:
            value = float(values[np.searchsorted(ends, rank, side="right")])
            return min(max(value, low), high)

        found = []
        for share in shares:
            place = share * (int(ends[-1]) - 1)
            below, above = ranked(math.floor(place)), ranked(math.ceil(place))
            found.append(below + (above - below) * (place - math.floor(place)))
        return found

    def to_json(self) -> list[Any]:
        return [self.dropped, packed(np.diff(self._keys, prepend=0)), packed(self._counts)]

    @classmethod
    def from_json(cls, room: int, data: list[Any]) -> ValueCounts:
        return cls(room, data[0], unpacked(data[1], np.int64).cumsum(), unpacked(data[2], np.int64))

    def _absorb(self, keys: Keys, counts: Keys) -> None:
        both = np.concatenate([self._keys, keys])
        self._keys, self._counts = _united(both, np.concatenate([self._counts, counts]))
        while len(self._keys) > self.room:
            self._drop(1)

    def _drop(self, bits: int) -> None:
        if bits > 0:
            self._keys, self._counts = _reduced(self._keys, self._counts, bits)
            self.dropped += bits


def _keys_of(values: Floats) -> Keys:
    """Numbers in the order of the floats; the two zeros are one."""
    bits = (values + 0.0).view(np.int64)
    return np.asarray(bits ^ ((bits >> 63) & np.int64(2**63 - 1)))


def _values_of(keys: Keys) -> Floats:
    return np.asarray((keys ^ ((keys >> 63) & np.int64(2**63 - 1))).view(np.float64))


def _counted(keys: Keys) -> tuple[Keys, Keys]:
    if not len(keys):
        return keys, keys
    low = keys.min()
    if int(keys.max()) - int(low) < _DENSE:
        counts = np.bincount(keys - low)
        (present,) = counts.nonzero()
        return present + low, counts[present]
    found, counts = np.unique(keys, return_counts=True)
    return found, counts


def _reduced(keys: Keys, counts: Keys, bits: int) -> tuple[Keys, Keys]:
    return _united(keys >> max(0, bits), counts)


def _united(keys: Keys, counts: Keys) -> tuple[Keys, Keys]:
    found, places = np.unique(keys, return_inverse=True)
    total = np.zeros(len(found), np.int64)
    np.add.at(total, places, counts)
    return found, total
