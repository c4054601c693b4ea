"""What is answered: the results of the calculations, as the schema tells of them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


def _number(text: str = "") -> serializers.FloatField:
    return serializers.FloatField(required=False, allow_null=True, help_text=text)


def _pair() -> serializers.ListField:
    return serializers.ListField(child=serializers.FloatField(), required=False, allow_null=True)


class HistogramResult(serializers.Serializer[Any]):
    """Bins of equal width from `low` to `high`."""

    low = serializers.FloatField()
    high = serializers.FloatField()
    counts = serializers.ListField(child=serializers.IntegerField())
    below = serializers.IntegerField(required=False)
    above = serializers.IntegerField(required=False)


class CalculationResult(serializers.Serializer[Any]):
    converged = serializers.BooleanField(help_text="It ended because the answer was as precise as was asked for.")
    stopped_early = serializers.BooleanField(help_text="It ended because somebody asked for the answer so far.")
    provenance = serializers.DictField(help_text="What it takes to get the same digits again: seed, blocks, versions.")


class MonteCarloResult(CalculationResult):
    """Of an option the price, of a portfolio the value at risk."""

    paths = serializers.IntegerField()
    price = _number()
    value_at_risk = _number()
    standard_error = _number("Of the price, or of the value at risk.")
    confidence_interval = _pair()
    confidence = serializers.FloatField()
    closed_form = _number("Of a European option: Black and Scholes.")
    level = _number()
    expected_shortfall = _number()
    expected_shortfall_error = _number()
    mean_loss = _number()
    mean_loss_error = _number()
    resolution = _number("The width of the bins that the value at risk was found in.")
    histogram = HistogramResult()
    convergence = serializers.ListField(child=serializers.DictField(), required=False)


class IntervalsResult(serializers.Serializer[Any]):
    percentile = _pair()
    basic = _pair()
    bca = _pair()


class BootstrapResult(CalculationResult):
    statistic = serializers.CharField()
    value = _number("Of the data.")
    rows = serializers.IntegerField()
    rows_incomplete = serializers.IntegerField()
    resamples = serializers.IntegerField()
    confidence = serializers.FloatField()
    standard_error = _number()
    bias = _number()
    intervals = IntervalsResult(required=False)
    histogram = HistogramResult(required=False, allow_null=True)


class DistinctResult(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    error = serializers.FloatField(help_text="The standard error as a share of the count; 0 where it is exact.")


class QuantileResult(serializers.Serializer[Any]):
    share = serializers.FloatField()
    value = serializers.FloatField()


class ColumnResult(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.CharField()
    count = serializers.IntegerField(help_text="Of the values that are there.")
    missing = serializers.IntegerField()
    distinct = DistinctResult()
    sum = _number()
    mean = _number()
    std = _number("Of a sample: over the count less 1.")
    min = serializers.JSONField(required=False)
    max = serializers.JSONField(required=False)
    quantiles = QuantileResult(many=True, required=False)
    quantile_error = _number("By how much of itself a quantile may be off at most; 0 where they are exact.")
    histogram = HistogramResult(required=False, allow_null=True)


class DescribeResult(CalculationResult):
    rows = serializers.IntegerField()
    columns = ColumnResult(many=True)
    correlation = serializers.DictField(required=False)
    groups = serializers.DictField(required=False, help_text="The first 50; all of them are in `groups.csv`.")


class CoefficientResult(serializers.Serializer[Any]):
    term = serializers.CharField()
    value = serializers.FloatField()
    standard_error = _number()
    t = _number()
    p = _number()
    confidence_interval = _pair()


class RegressionResult(CalculationResult):
    rows = serializers.IntegerField()
    rows_incomplete = serializers.IntegerField()
    coefficients = CoefficientResult(many=True)
    residual_std = _number()
    residual_sum_of_squares = _number()
    degrees_of_freedom = serializers.IntegerField()
    r_squared = _number()
    adjusted_r_squared = _number()
    f = _number()
    f_p = _number()
    condition = _number("Of the predictors scaled to one length: the digits that arithmetic in floats would lose.")


class SweepResult(serializers.Serializer[Any]):
    points = serializers.IntegerField()
    failed = serializers.IntegerField()
    table = serializers.ListField(child=serializers.DictField(), help_text="The first 100; all are in `table.csv`.")
    provenance = serializers.DictField()


class TableResult(serializers.Serializer[Any]):
    """The points of a sweep as far as they are computed."""

    points = serializers.IntegerField()
    done = serializers.IntegerField()
    rows = serializers.ListField(child=serializers.DictField())
