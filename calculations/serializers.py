"""What is asked: the requests of the calculations."""

from __future__ import annotations

import math
from typing import Any

from rest_framework import serializers

from lro import datasets

#: What every client's JSON holds exactly.
_LARGEST_WHOLE = 2**53 - 1


class FiniteField(serializers.FloatField):
    """A number; not the words NaN and Infinity, which Python reads as numbers too."""

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class PositiveField(FiniteField):
    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if value <= 0:
            raise serializers.ValidationError("Ensure this value is greater than 0.", code="min_value")
        return value


def _choice(*choices: str, default: str) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=choices, default=default)


def _seed() -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=0,
        max_value=_LARGEST_WHOLE,
        required=False,
        allow_null=True,
        help_text="The same seed gives the same digits; without one, one is drawn and told.",
    )


def _shards() -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=1,
        max_value=64,
        default=1,
        help_text="Into so many children; the digits stay the same.",
    )


def _confidence() -> FiniteField:
    return FiniteField(min_value=0.5, max_value=0.9999, default=0.95)


class OptionInput(serializers.Serializer[Any]):
    """An option on one asset; rates are continuous and a year, `maturity` is in years."""

    type = _choice("call", "put", default="call")
    kind = _choice("european", "asian", default="european")
    spot = PositiveField(max_value=1e12)
    strike = PositiveField(max_value=1e12)
    rate = FiniteField(min_value=-1, max_value=1, default=0.0)
    dividend = FiniteField(min_value=-1, max_value=1, default=0.0)
    volatility = PositiveField(max_value=10)
    maturity = PositiveField(max_value=100)
    steps = serializers.IntegerField(
        min_value=1, max_value=1000, default=12, help_text="The dates over which an Asian option averages."
    )


class PortfolioInput(serializers.Serializer[Any]):
    """`means` and `covariance` are of the returns of one period, `horizon` is in periods."""

    value = PositiveField(default=1.0)
    weights = serializers.ListField(child=FiniteField(), min_length=1, max_length=100)
    means = serializers.ListField(child=FiniteField(), required=False, help_text="Zero, where left out.")
    covariance = serializers.ListField(child=serializers.ListField(child=FiniteField()), min_length=1, max_length=100)
    horizon = PositiveField(default=1.0)
    returns = _choice("simple", "log", default="simple")
    degrees_of_freedom = FiniteField(
        required=False, allow_null=True, max_value=1000, help_text="Above 2: tails of Student's t; else normal ones."
    )
    level = FiniteField(min_value=0.5, max_value=0.9999, default=0.99, help_text="Of the value at risk.")


class MonteCarloInput(serializers.Serializer[Any]):
    """Either `option` or `portfolio`."""

    option = OptionInput(required=False)
    portfolio = PortfolioInput(required=False)
    paths = serializers.IntegerField(
        min_value=1_000, max_value=10**12, default=1_000_000, help_text="At most; up to a block more are taken."
    )
    sampling = _choice("plain", "antithetic", "sobol", default="plain")
    target_error = FiniteField(
        required=False, allow_null=True, help_text="End as soon as the standard error is at most this."
    )
    confidence = _confidence()
    seed = _seed()
    block_paths = serializers.IntegerField(
        min_value=64, max_value=2**20, required=False, allow_null=True, help_text="Of one block: a power of two."
    )
    shards = _shards()


class BootstrapInput(serializers.Serializer[Any]):
    dataset = datasets.DatasetField()
    column = serializers.CharField()
    statistic = _choice("mean", "median", "std", "quantile", "correlation", "difference_of_means", default="mean")
    quantile = FiniteField(min_value=0, max_value=1, default=0.5, help_text="Which one, for `quantile`.")
    other = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="Of `correlation` the other column; of `difference_of_means` one of two values, which parts rows.",
    )
    resamples = serializers.IntegerField(min_value=100, max_value=20_000, default=2_000)
    confidence = _confidence()
    seed = _seed()
    shards = _shards()


class DescribeInput(serializers.Serializer[Any]):
    dataset = datasets.DatasetField()
    columns = serializers.ListField(
        child=serializers.CharField(), required=False, allow_null=True, help_text="All of them, where left out."
    )
    quantiles = serializers.ListField(
        child=FiniteField(min_value=0, max_value=1), max_length=12, default=[0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
    )
    bins = serializers.IntegerField(min_value=1, max_value=200, default=40)
    group_by = serializers.CharField(required=False, allow_null=True)
    correlation = serializers.BooleanField(default=False, help_text="Of the rows that miss no numeric column.")
    shards = _shards()


class RegressionInput(serializers.Serializer[Any]):
    dataset = datasets.DatasetField()
    target = serializers.CharField()
    predictors = serializers.ListField(child=serializers.CharField(), min_length=1, max_length=30)
    degree = serializers.IntegerField(
        min_value=1, max_value=12, default=1, help_text="Of a polynomial, where there is one predictor."
    )
    intercept = serializers.BooleanField(default=True)
    confidence = _confidence()
    shards = _shards()


class SweepInput(serializers.Serializer[Any]):
    """The input of another calculation, some of whose values are replaced by each of a list."""

    calculation = _choice("monte-carlo", "bootstrap", "regression", "describe", default="monte-carlo")
    base = serializers.DictField(help_text="The input that all points share.")
    grid = serializers.DictField(
        child=serializers.ListField(min_length=1, max_length=1000),
        help_text='Each with its values: `{"option.volatility": [0.1, 0.2], "option.strike": [90, 100]}`.',
    )
