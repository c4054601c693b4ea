"""Sums without rounding, and solutions that are right to the last digit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations.decimals import powers, rests
from calculations.exact import ExactProducts
from calculations.least_squares import Collinear, fit, root
from calculations.moments import Moments
from calculations.value_counts import ValueCounts

finite = st.floats(allow_nan=False, allow_infinity=False)
tables = st.integers(1, 3).flatmap(
    lambda columns: st.lists(st.lists(finite, min_size=columns, max_size=columns), min_size=1, max_size=12)
)


def columns_of(rows: list[list[float]]) -> Any:
    return np.array(rows, float).T.copy()


@pytest.mark.slow
@given(tables)
@settings(max_examples=60, deadline=None)
def test_sums_of_products_are_exact_whatever_the_sizes(rows: list[list[float]]) -> None:
    sums = ExactProducts(len(rows[0]))
    sums.add(columns_of(rows))
    for i in range(len(rows[0])):
        for j in range(len(rows[0])):
            assert sums[i, j] == sum(Fraction(row[i]) * Fraction(row[j]) for row in rows)
    assert ExactProducts.from_json(len(rows[0]), sums.to_json()).to_json() == sums.to_json()


@given(tables, st.integers(0, 12), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_neither_order_nor_grouping_changes_them(rows: list[list[float]], cut: int, random: Any) -> None:
    whole, parts = ExactProducts(len(rows[0])), [ExactProducts(len(rows[0])) for _ in range(2)]
    whole.add(columns_of(rows))
    random.shuffle(rows)
    for part, its in zip(parts, (rows[:cut], rows[cut:]), strict=True):
        if its:
            part.add(columns_of(its))
    parts[1].merge(parts[0])
    assert parts[1].to_json() == whole.to_json()


def test_a_long_table_is_cut_into_pieces_that_are_exact() -> None:
    rng = np.random.default_rng(1)
    table = rng.standard_normal((2, 10_000)) * [[1e10], [1e-10]]
    sums = ExactProducts(2)
    sums.add(table)
    assert sums[0, 1] == sum(Fraction(x) * Fraction(y) for x, y in table.T.tolist())


@given(st.lists(st.decimals(-(10**6), 10**6, places=4), min_size=1, max_size=20))
def test_decimals_count_as_they_were_written(written: list[Decimal]) -> None:
    values = np.array([float(each) for each in written])
    for value, rest, each in zip(values.tolist(), rests(values).tolist(), written, strict=True):
        assert abs(Fraction(value) + Fraction(rest) - Fraction(each)) <= abs(Fraction(each)) / 2**100
    moments = Moments()
    moments.add(values)
    assert moments.summary()["mean"] == float(sum(map(Fraction, written)) / len(written))


def test_what_was_no_decimal_is_left_as_it_is() -> None:
    assert not rests(np.array([1 / 3, 0.1])).any()
    assert not rests(np.array([1e300, 0.1])).any()
    assert not rests(np.arange(5.0)).any()


def test_powers_have_32_digits() -> None:
    values = np.array([0.1, -8.781464495, 3.2])
    for exponent, (high, low) in enumerate(powers(values, rests(values), 10), 1):
        for h, rest, text in zip(high.tolist(), low.tolist(), ("0.1", "-8.781464495", "3.2"), strict=True):
            true = Fraction(text) ** exponent
            assert abs(Fraction(h) + Fraction(rest) - true) < abs(true) / 10**30


@given(st.fractions(min_value=0, max_value=10**30))
def test_a_root_is_right_to_the_last_digit(value: Fraction) -> None:
    found = Fraction(root(value))
    assert abs(found**2 - value) <= value / 2**51


def test_a_root_of_what_no_float_holds_is_found() -> None:
    assert root(Fraction(1, 10**700)) == 0.0
    assert root(Fraction(10**600)) == 1e300
    assert root(Fraction(1, 10**600)) == 1e-300


@pytest.mark.parametrize("seed", range(3))
def test_least_squares_are_those_of_numpy_where_they_are_easy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.vstack([np.ones(200), rng.standard_normal((4, 200))])
    target = rng.standard_normal(200) + table[2]
    products = ExactProducts(6)
    products.add(np.vstack([table, target]))
    own = fit(products, 200, has_intercept=True)
    theirs, residual, _, values = np.linalg.lstsq(table.T, target, rcond=None)
    assert [float(each) for each in own.coefficients] == pytest.approx(theirs.tolist(), rel=1e-12)
    assert float(own.residual) == pytest.approx(residual[0], rel=1e-13)
    assert 1 < own.condition < 10 * values[0] / values[-1]


def test_a_column_that_others_make_up_is_named() -> None:
    products = ExactProducts(4)
    x = np.arange(5.0)
    products.add(np.vstack([np.ones(5), x, 3 * x + 2, x**2]))
    with pytest.raises(Collinear) as caught:
        fit(products, 5, has_intercept=True)
    assert caught.value.column == 2


@given(st.lists(st.lists(finite, max_size=30), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_counts_of_values_do_not_depend_on_their_order(parts: list[list[float]], random: Any) -> None:
    whole, merged = ValueCounts(8), ValueCounts(8)
    whole.add(np.array([value for part in parts for value in part]))
    random.shuffle(parts)
    for part in parts:
        other = ValueCounts(8)
        other.add(np.array(part, float))
        merged.merge(ValueCounts.from_json(8, other.to_json()))
    assert merged.to_json() == whole.to_json()


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=200))
def test_a_value_is_off_by_at_most_what_is_told(values: list[float]) -> None:
    counts = ValueCounts(16)
    counts.add(np.array(values))
    shares = [0.0, 0.25, 0.5, 0.99, 1.0]
    found = counts.quantiles(shares, min(values), max(values))
    assert found == pytest.approx(np.quantile(values, shares).tolist(), rel=counts.relative_error + 1e-12)
