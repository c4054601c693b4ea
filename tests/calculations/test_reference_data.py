"""The published digits of the NIST's reference data, through import and operation, in parts of a few rows."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.calculations.reference_data import LINEAR, UNIVARIATE, Linear, Univariate

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]


def same(value: float | None, certified: float) -> bool:
    """In all 15 digits that are published; a true value halfway between two of them may be rounded either way.

    Where exactly 0 is certified there is no digit to compare: nothing of the size of a rounding error is left.
    """
    assert value is not None
    if certified == 0:
        return abs(value) < 1e-25
    last_digit = 10.0 ** (math.floor(math.log10(abs(certified))) - 14)
    return abs(value - certified) < 0.55 * last_digit


@pytest.mark.parametrize("data", UNIVARIATE, ids=lambda data: data.name)
def test_a_mean_and_a_deviation_have_every_published_digit(data: Univariate, imported: Any, result: Any) -> None:
    dataset = imported({"y": data.values}, {"y": "number"}, block_bytes=512)
    (column,) = result("describe", dataset=dataset)["columns"]
    assert column["count"] == len(data.values)
    assert same(column["mean"], data.mean)
    assert same(column["std"], data.std)


@pytest.mark.parametrize("data", LINEAR, ids=lambda data: data.name)
def test_a_fit_has_every_published_digit(data: Linear, imported: Any, result: Any) -> None:
    dataset = imported(data.columns, dict.fromkeys(data.columns, "number"), block_bytes=128)
    asked = {"target": "y", "predictors": data.predictors, "degree": data.degree, "intercept": data.has_intercept}
    found = result("regression", dataset=dataset, **asked)
    for coefficient, (value, error) in zip(found["coefficients"], data.coefficients, strict=True):
        assert same(coefficient["value"], value), coefficient["term"]
        assert same(coefficient["standard_error"], error), coefficient["term"]
    assert same(found["residual_std"], data.residual_std)
    assert same(found["r_squared"], data.r_squared)
