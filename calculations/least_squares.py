"""Least squares from exact sums of products, solved in whole numbers: each figure is the nearest float to the truth.

The usual trouble with `X'X`, that its condition is the square of the table's, is one of rounding, and there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .exact import ExactProducts

Rows = list[list[int]]


class Collinear(Exception):
    """A predictor is a combination of those before it: its index."""

    def __init__(self, column: int) -> None:
        super().__init__(column)
        self.column = column


@dataclass(frozen=True)
class Fit:
    """Exact coefficients, the exact inverse of `X'X`, and the exact sums of squares."""

    rows: int
    coefficients: list[Fraction]
    inverse: list[list[Fraction]]
    residual: Fraction
    total: Fraction
    condition: float
    has_intercept: bool

    @property
    def degrees_of_freedom(self) -> int:
        return self.rows - len(self.coefficients)

    @property
    def model_degrees(self) -> int:
        return len(self.coefficients) - self.has_intercept


def fit(products: ExactProducts, rows: int, *, has_intercept: bool) -> Fit:
    """Fit the last column of `products` by the others; the first of these is the intercept, where there is one.

    Raises `Collinear`.
    """
    size = products.columns - 1
    lines = [[products.whole(i, j) for j in range(products.columns)] for i in range(products.columns)]
    augmented = [line[:] + [int(i == j) for j in range(size)] for i, line in enumerate(lines[:size])]
    determinant = _eliminate(augmented, size)
    unit = products.unit
    coefficients = [Fraction(line[size], determinant) for line in augmented]
    inverse = [[Fraction(value * unit, determinant) for value in line[size + 1 :]] for line in augmented]
    squares = Fraction(lines[size][size], unit)
    explained = sum((b * Fraction(lines[size][i], unit) for i, b in enumerate(coefficients)), Fraction(0))
    mean_part = products[0, size] ** 2 / rows if has_intercept else Fraction(0)
    return Fit(
        rows=rows,
        coefficients=coefficients,
        inverse=inverse,
        residual=squares - explained,
        total=squares - mean_part,
        condition=_condition(products, inverse, size),
        has_intercept=has_intercept,
    )


def _eliminate(lines: Rows, size: int) -> int:
    """Bareiss's elimination without fractions, upwards too: each line's right side over the determinant solves."""
    previous = 1
    for column in range(size):
        pivot = lines[column][column]  # a principal minor of a Gram matrix: positive, or the columns are collinear
        if pivot == 0:
            raise Collinear(column)
        for row in range(size):
            if row != column:
                factor = lines[row][column]
                lines[row] = [
                    (pivot * mine - factor * its) // previous
                    for mine, its in zip(lines[row], lines[column], strict=True)
                ]
        previous = pivot
    return previous


def _condition(products: ExactProducts, inverse: Sequence[Sequence[Fraction]], size: int) -> float:
    """Of the table with columns of length one, by the 1-norm of its products: what rounding in floats would cost."""
    lengths = [root(products[i, i]) for i in range(size)]

    def norm(entry: Any) -> float:
        return max(math.fsum(abs(entry(i, j)) for i in range(size)) for j in range(size))

    whole = norm(lambda i, j: float(products[i, j]) / lengths[i] / lengths[j])
    return math.sqrt(whole * norm(lambda i, j: float(inverse[i][j]) * lengths[i] * lengths[j]))


def root(value: Fraction) -> float:
    """The square root, right to the last digit also where the number is out of the range of floats."""
    if value <= 0:
        return 0.0
    shift = 2 * max(0, 64 + (value.denominator.bit_length() - value.numerator.bit_length()) // 2)
    scaled = math.isqrt((value.numerator << (shift + 128)) // value.denominator)
    return float(Fraction(scaled, 1 << (shift // 2 + 64)))
