"""Least squares over a dataset: exact sums part by part, then one exact solution and its diagnostics."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.special import fdtrc, stdtr, stdtrit

from lro import Fail, datasets

from .calculation import Calculation
from .columns import complete, numbers, read_part
from .decimals import powers, rests
from .describing import dataset_provenance
from .exact import ExactProducts
from .least_squares import Collinear, Fit, fit, root


@dataclass
class RegressionTally:
    rows: int
    missing: int
    products: ExactProducts

    def merge(self, other: RegressionTally) -> None:
        self.rows += other.rows
        self.missing += other.missing
        self.products.merge(other.products)

    def to_json(self) -> list[Any]:
        return [self.rows, self.missing, self.products.to_json()]


class Regression(Calculation):
    unit = "rows"

    def __init__(self, data: dict[str, Any]) -> None:
        self.dataset = datasets.load(data["dataset"])
        self.target: str = data["target"]
        self.predictors: list[str] = data["predictors"]
        self.degree: int = data["degree"]
        self.has_intercept: bool = data["intercept"]
        self.confidence: float = data["confidence"]
        self._rows = [0, *itertools.accumulate(self.dataset.part_rows)]
        self.blocks, self.total = len(self._rows) - 1, self._rows[-1]

    @property
    def terms(self) -> list[str]:
        own = [name if n == 1 else f"{name}^{n}" for name in self.predictors for n in range(1, self.degree + 1)]
        return ["(intercept)"] * self.has_intercept + own

    def units(self, blocks: int) -> int:
        return self._rows[blocks]

    def empty(self) -> RegressionTally:
        return RegressionTally(0, 0, ExactProducts(len(self.terms) + 1))

    def read(self, data: Any) -> RegressionTally:
        return RegressionTally(data[0], data[1], ExactProducts.from_json(len(self.terms) + 1, data[2]))

    def add(self, tally: RegressionTally, block: int) -> None:
        names = [*self.predictors, self.target]
        table = read_part(self.dataset, block, names)
        columns, missing = complete([numbers(table, name, block) for name in names])
        rows = len(columns[-1])
        tally.rows += rows
        tally.missing += missing
        if not rows:
            return
        one = [(np.ones(rows), np.zeros(rows))] * self.has_intercept
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at below
            terms = [each for column in columns[:-1] for each in powers(column, rests(column), self.degree)]
        high, low = zip(*one, *terms, (columns[-1], rests(columns[-1])), strict=True)
        parts = [np.vstack(high), *([np.vstack(low)] if any(each.any() for each in low) else [])]
        if not np.isfinite(parts[0]).all():
            raise Fail("not_finite", f"Block {block}: a power of {self.predictors[0]} is out of the range of floats.")
        tally.products.add(*parts)

    def answer(self, tally: RegressionTally) -> dict[str, Any]:
        """The fit so far; without coefficients where the rows so far do not determine them, unless these are all."""
        is_whole = tally.rows + tally.missing == self.total
        counts = {"rows": tally.rows, "rows_incomplete": tally.missing}
        try:
            return {**counts, **self._diagnosed(self._fit(tally))}
        except Fail:
            if is_whole:
                raise
            return counts

    def _fit(self, tally: RegressionTally) -> Fit:
        terms = self.terms
        if tally.rows < len(terms):
            message = f"There are {tally.rows:,} complete rows, {len(terms)} coefficients need at least as many."
            raise Fail("too_few_rows", message)
        try:
            return fit(tally.products, tally.rows, has_intercept=self.has_intercept)
        except Collinear as collinear:
            name = terms[collinear.column]
            others = ", ".join(terms[: collinear.column]) or "nothing"
            message = f"The column {name} is a combination of {others}; leave it out."
            raise Fail("collinear", message) from collinear

    def _diagnosed(self, fitted: Fit) -> dict[str, Any]:
        freedom, model = fitted.degrees_of_freedom, fitted.model_degrees
        variance = fitted.residual / freedom if freedom else Fraction(0)
        explained = fitted.total - fitted.residual
        ratio = _ratio(explained / model, variance) if model and freedom else None
        share = float(1 - fitted.residual / fitted.total) if fitted.total else None
        return {
            "coefficients": [self._coefficient(fitted, index, variance) for index in range(len(self.terms))],
            "residual_std": root(variance) if freedom else None,
            "residual_sum_of_squares": float(fitted.residual),
            "degrees_of_freedom": freedom,
            "r_squared": share,
            "adjusted_r_squared": _adjusted(share, fitted),
            "f": ratio,
            "f_p": None if ratio is None else float(fdtrc(model, freedom, ratio)),
            "condition": fitted.condition,
        }

    def _coefficient(self, fitted: Fit, index: int, variance: Fraction) -> dict[str, Any]:
        value, freedom = float(fitted.coefficients[index]), fitted.degrees_of_freedom
        described: dict[str, Any] = {"term": self.terms[index], "value": value}
        if not freedom:
            return {**described, "standard_error": None, "t": None, "p": None, "confidence_interval": None}
        error = root(variance * fitted.inverse[index][index])
        t = value / error if error else None
        width = float(stdtrit(freedom, 1 - (1 - self.confidence) / 2)) * error
        return {
            **described,
            "standard_error": error,
            "t": t if t is not None and math.isfinite(t) else None,
            "p": None if t is None else float(2 * stdtr(freedom, -abs(t))),
            "confidence_interval": [value - width, value + width],
        }

    def provenance(self) -> dict[str, Any]:
        return dataset_provenance(self.dataset)


def _ratio(explained: Fraction, variance: Fraction) -> float | None:
    """None for a perfect fit, or where it is as good as one."""
    try:
        return float(explained / variance) if variance else None
    except OverflowError:
        return None


def _adjusted(share: float | None, fitted: Fit) -> float | None:
    if share is None or not fitted.degrees_of_freedom:
        return None
    return 1 - (1 - share) * (fitted.rows - fitted.has_intercept) / fitted.degrees_of_freedom
