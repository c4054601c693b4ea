"""A rule with the column that it is about: what can be asked of it, and what must be refused of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

import polars as pl

from . import bounds
from .expression_parsing import BadExpression, columns_of
from .expressions import translate
from .faults import BadRules, Fault
from .readings import moments_in, numbers_in
from .rule_documents import Rule

DTYPES: dict[str, Any] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
}
_WORDS = {pl.String: "text", pl.Boolean: "true and false", pl.Date: "dates", pl.Datetime: "times"}
Schema = Mapping[str, Any]


class Subject:
    """A rule with the column that it is about."""

    def __init__(self, rule: Rule, schema: Schema, as_of: datetime, place: str) -> None:
        self.rule, self.schema, self.as_of, self.place = rule, schema, as_of, place
        self.named: set[str] = set()

    @property
    def col(self) -> pl.Expr:
        return pl.col(self.rule.columns[0])

    @property
    def dtype(self) -> Any:
        return self.schema[self.rule.columns[0]]

    @property
    def text(self) -> pl.Expr:
        return self.col if self.dtype == pl.String else self.col.cast(pl.String)

    def option(self, name: str) -> Any:
        return self.rule.options.get(name)

    def fault(self, key: str, code: str, message: str, position: int | None = None) -> BadRules:
        return BadRules([Fault(f"{self.place}/{key}", code, f"Rule {self.rule.id}: {message}", position)])

    def numbers(self) -> pl.Expr:
        """The column as numbers; null where a text is none."""
        if self.dtype == pl.String:
            return numbers_in(self.col)
        if not self.dtype.is_numeric():
            held = _WORDS[type(self.dtype)]
            raise self.fault("column", "wrong_column_type", f"column {self.rule.column} holds {held}, no numbers.")
        return self.col

    def moments(self) -> pl.Expr:
        """The column as times; null where a text is none."""
        if self.dtype == pl.String:
            return moments_in(self.col)
        if not self.dtype.is_temporal():
            held = _WORDS.get(type(self.dtype), "numbers")
            raise self.fault("column", "wrong_column_type", f"column {self.rule.column} holds {held}, no dates.")
        return self.col.cast(pl.Datetime("us"))

    def failing(self, is_good: pl.Expr) -> pl.Expr:
        """Where a value is not good; a text that could not be read is not good either."""
        return ~is_good if self.dtype != pl.String else self.col.is_not_null() & ~is_good.fill_null(False)

    def unreadable(self, value: pl.Expr) -> dict[str, pl.Expr]:
        """How many texts could not be read."""
        return {"unreadable": (self.col.is_not_null() & value.is_null()).sum()} if self.dtype == pl.String else {}

    def bounded(self) -> pl.Expr:
        """Whether the value is within `minimum` and `maximum`, where they are given."""
        low, high = self.option("minimum"), self.option("maximum")
        is_number = bounds.is_number(low if low is not None else high)
        try:
            value = self.numbers() if is_number else self.moments()
        except BadRules:
            key = "minimum" if low is not None else "maximum"
            held = _WORDS.get(type(self.dtype), "numbers")
            message = (
                f"column {self.rule.column} holds {held}, so {low if low is not None else high!r} is no bound of it."
            )
            raise self.fault(key, "bad_bound", message) from None
        if not is_number:
            low, high = low and self._moment("minimum"), high and self._end_of(high)
        return within(value, low, high)

    def _moment(self, key: str) -> datetime:
        try:
            return bounds.moment(self.option(key), self.as_of)
        except ValueError as error:  # as_of is near the end of time
            raise self.fault(key, "bad_bound", str(error)) from None

    def _end_of(self, text: str) -> datetime:
        """The last instant of a bound: a day ends at its midnight."""
        value = self._moment("maximum")
        is_day = bounds.is_whole_day(text) and value.time() == time()
        return value + timedelta(days=1, microseconds=-1) if is_day else value

    def condition(self, key: str) -> pl.Expr:
        try:
            expr = translate(self.option(key), self.schema, self.as_of)
            self.named |= columns_of(self.option(key))
        except BadExpression as bad:
            message = f"{key}, character {bad.position}: {bad.message}"
            raise self.fault(key, bad.code, message, bad.position) from None
        return expr


def within(value: pl.Expr, low: Any, high: Any) -> pl.Expr:
    if high is None:
        return value >= literal(low)
    if low is None:
        return value <= literal(high)
    return value.is_between(literal(low), literal(high))


def literal(bound: Any) -> pl.Expr:
    is_wide = isinstance(bound, int) and not -(2**63) <= bound < 2**63
    return pl.lit(float(bound) if is_wide else bound)
