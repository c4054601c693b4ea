"""Sums of products without any rounding, so that neither order nor grouping can change a digit.

A float is a whole number times a power of two. Columns are cut into slices so narrow that a matrix product of slices is
exact in floats (Ozaki's scheme), and the products are added as whole numbers: `X'X` of any table, exact, at the speed
of BLAS. Sums over the same rows are therefore equal however the rows are dealt out, retried or resumed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Bits of a slice: 2**12 products of two of them stay below 2**53, where floats are whole numbers.
_SLICE_BITS = 20
_CHUNK_ROWS = 4096
#: Up to 2**_EXTREME a column can be scaled whole, and nothing of it gets lost.
_EXTREME = 90
#: Every product of two slices is a whole multiple of 2**-_UNIT_BITS: twice the smallest float, and two slices' excess.
_UNIT_BITS = 2 * 1074 + 2 * _SLICE_BITS + 4


class ExactProducts:
    """The sums over rows of the products of each two columns: `X'X`, as whole numbers of one tiny unit."""

    #: So many units are one.
    unit = 1 << _UNIT_BITS

    def __init__(self, columns: int, units: Iterable[int] = ()) -> None:
        self.columns = columns
        self._units = list(units) or [0] * (columns * (columns + 1) // 2)

    def add(self, *parts: Floats) -> None:
        """Add the rows of a table given by columns (columns × rows), finite; several parts stand for their sum."""
        for start in range(0, parts[0].shape[1], _CHUNK_ROWS):
            self._add_chunk(np.vstack([part[:, start : start + _CHUNK_ROWS] for part in parts]), len(parts))

    def add_sums(self, sums: Sequence[float]) -> None:
        """Add sums of products that were made in floats: the upper triangle, row by row."""
        self._units = [unit + _units_of(value) for unit, value in zip(self._units, sums, strict=True)]

    def add_exactly(self, sums: Sequence[Fraction]) -> None:
        """The same of sums that are whole multiples of the unit."""
        self._units = [
            unit + value.numerator * (self.unit // value.denominator)
            for unit, value in zip(self._units, sums, strict=True)
        ]

    def merge(self, other: ExactProducts) -> None:
        self._units = [mine + its for mine, its in zip(self._units, other._units, strict=True)]

    def __getitem__(self, place: tuple[int, int]) -> Fraction:
        return Fraction(self.whole(*place), self.unit)

    def whole(self, row: int, column: int) -> int:
        """The sum in units that are the same for all places."""
        low, high = sorted((row, column))
        return self._units[low * self.columns - low * (low - 1) // 2 + high - low]

    def to_json(self) -> list[str]:
        return [_packed(unit) for unit in self._units]

    @classmethod
    def from_json(cls, columns: int, data: list[str]) -> ExactProducts:
        return cls(columns, (_unpacked(text) for text in data))

    def _add_chunk(self, table: Floats, parts: int) -> None:
        for exponents, scale, products in _slice_products(table):
            for row, column in itertools.product(range(0, parts * self.columns, self.columns), repeat=2):
                self._add_products(exponents, scale, products, row, column)

    def _add_products(self, exponents: list[int], scale: int, products: Any, row: int, column: int) -> None:
        place = 0
        for i in range(self.columns):
            for j in range(i, self.columns):
                if value := products[row + i][column + j]:
                    shift = exponents[row + i] + exponents[column + j] + scale + _UNIT_BITS
                    self._units[place] += value << shift if shift >= 0 else value >> -shift
                place += 1


def _slice_products(table: Floats) -> Iterator[tuple[list[int], int, list[list[int]]]]:
    """The products of all slices, those of one scale together: the columns' exponents, the scale, whole numbers."""
    exponents = np.frexp(np.abs(table).max(axis=1, initial=0.0))[1].astype(np.int64)
    slices = list(_slices(table, exponents))
    shared = exponents.tolist()
    for total in range(2 * len(slices) - 1):
        pairs = [(k, total - k) for k in range(len(slices)) if 0 <= total - k < len(slices)]
        products = sum((slices[k] @ slices[other].T).astype(np.int64) for k, other in pairs)
        yield shared, -_SLICE_BITS * (total + 2), np.asarray(products).tolist()


def _slices(table: Floats, exponents: NDArray[np.int64]) -> Iterator[Floats]:
    """Whole numbers of at most `_SLICE_BITS` bits, the most significant first, until nothing is left."""
    shifts = (_SLICE_BITS - exponents)[:, np.newaxis]
    if exponents.max(initial=0) > _EXTREME or np.abs(table).min(where=table != 0, initial=1.0) < 2.0**-900:
        yield from _slices_of_extremes(table, shifts)
        return
    rest = table * 2.0**shifts
    while True:
        whole = np.rint(rest)
        yield whole
        rest -= whole
        if not rest.any():
            return
        rest *= 2.0**_SLICE_BITS


def _slices_of_extremes(table: Floats, shifts: NDArray[np.int64]) -> Iterator[Floats]:
    """The same, never scaling what is left, as it could become too small for a float."""
    rest = table.copy()
    while True:
        whole = np.trunc(np.ldexp(rest, shifts))  # rounding up could exceed the largest float
        yield whole
        rest -= np.ldexp(whole, -shifts)
        if not rest.any():
            return
        shifts = shifts + _SLICE_BITS


def _units_of(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_UNIT_BITS + 1 - denominator.bit_length())


def _packed(unit: int) -> str:
    """Without the zeros at its end: the number in hexadecimal, and how many bits it is shifted."""
    zeros = (unit & -unit).bit_length() - 1 if unit else 0
    return f"{unit >> zeros:x}p{zeros}"


def _unpacked(text: str) -> int:
    number, _, zeros = text.partition("p")
    return int(number, 16) << int(zeros)
