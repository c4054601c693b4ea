"""What the nearest float leaves of a decimal number: columns that were written as text count as they were written."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .exact import Floats

#: Powers of ten up to this one are floats.
_MOST_DIGITS = 15
#: So many values tell most often that there are more digits.
_HEAD = 64
_SPLITTER = 2.0**27 + 1
#: Beyond it not every whole number is a float.
_WHOLE = 2.0**53


def rests(values: Floats) -> Floats:
    """For each value the decimal of the fewest digits that it is the nearest float of, less the float itself.

    Zero for all, where some are no decimals of at most 15 digits behind the point: then floats were meant.
    """
    head = values[:_HEAD]
    for digits in range(_MOST_DIGITS + 1):
        power = 10.0**digits
        if not np.array_equal(np.rint(head * power) / power, head):
            continue
        scaled = values * power
        whole = np.rint(scaled)
        if np.abs(scaled).max(initial=0.0) >= _WHOLE:
            break
        if np.array_equal(whole / power, values):
            return np.asarray(((whole - scaled) - _product_rest(values, power, scaled)) / power)
    return np.zeros_like(values)


def powers(values: Floats, rest: Floats, degree: int) -> Iterator[tuple[Floats, Floats]]:
    """The powers 1 to `degree` of `values + rest`, each as a float and its rest: 32 digits."""
    high, low = values, rest
    for exponent in range(1, degree + 1):
        if exponent > 1:
            product = high * values
            low = _product_rest(high, values, product) + (high * rest + low * values)
            high = product + low
            low = low - (high - product)
        yield high, low


def _product_rest(left: Floats, right: Floats | float, product: Floats) -> Floats:
    """What rounding took from the product (Dekker)."""
    left_high, right_high = _high(left), _high(right)
    left_low, right_low = left - left_high, right - right_high
    crossed = left_high * right_low + left_low * right_high
    return np.asarray(((left_high * right_high - product) + crossed) + left_low * right_low)


def _high(value: Floats | float) -> Floats | float:
    scaled = value * _SPLITTER
    return scaled - (scaled - value)
