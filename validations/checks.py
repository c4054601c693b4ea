"""Rules as polars expressions: what each measures in one batch of rows, and which rows break it.

Null passes every rule but `required`. A text cell where a bound needs a number or a date breaks the rule if it is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

import polars as pl

from . import bounds
from .expressions import BadExpression, columns_of, translate
from .faults import BadRules, Fault, did_you_mean
from .readings import READERS, moments_in, numbers_in
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


@dataclass(frozen=True, slots=True)
class Check:
    """One rule, ready to be measured. `failing` is true in the rows that break it; `shown`: the columns it looks at."""

    rule: Rule
    measures: dict[str, pl.Expr] = field(default_factory=dict)
    failing: pl.Expr | None = None
    shown: tuple[str, ...] = ()


def schema_of(columns: list[dict[str, str]]) -> dict[str, Any]:
    """The polars types of a dataset's columns."""
    return {column["name"]: DTYPES[column["type"]] for column in columns}


def compile_rules(rules: list[Rule], schema: Schema, as_of: datetime, *, base: str = "/rules") -> list[Check]:
    """The rules for a dataset with these columns. Raises BadRules with every fault that its columns make."""
    checks: list[Check] = []
    faults: list[Fault] = []
    for index, rule in enumerate(rules):
        try:
            checks.append(_compiled(rule, schema, as_of, f"{base}/{index}"))
        except BadRules as bad:
            faults += bad.faults
    if faults:
        raise BadRules(faults)
    return checks


def _compiled(rule: Rule, schema: Schema, as_of: datetime, place: str) -> Check:
    unknown = [name for name in rule.columns if name not in schema]
    if unknown:
        key = "column" if len(rule.columns) == 1 else "columns"
        message = f"Rule {rule.id} names column {unknown[0]}{did_you_mean(unknown[0], schema)}"
        if message.endswith("."):
            message = f"Rule {rule.id} names column {unknown[0]}, which the dataset does not have."
        raise BadRules([Fault(f"{place}/{key}", "unknown_column", message)])
    if rule.scope == "table":
        return Check(rule, shown=rule.columns)
    subject = _Subject(rule, schema, as_of, place)
    if rule.scope == "total":
        return Check(rule, _TOTALS[rule.kind](subject), shown=rule.columns)
    failing = _FAILING[rule.kind](subject)
    shown = rule.columns or tuple(name for name in schema if name in subject.named)
    return Check(rule, {"failed": failing.sum()}, failing, shown)


class _Subject:
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
            low, high = low and bounds.moment(low, self.as_of), high and self._end_of(high)
        return _within(value, low, high)

    def _end_of(self, text: str) -> datetime:
        """The last instant of a bound: a day ends at its midnight."""
        value = bounds.moment(text, self.as_of)
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


def _within(value: pl.Expr, low: Any, high: Any) -> pl.Expr:
    if high is None:
        return value >= _literal(low)
    if low is None:
        return value <= _literal(high)
    return value.is_between(_literal(low), _literal(high))


def _literal(bound: Any) -> pl.Expr:
    is_wide = isinstance(bound, int) and not -(2**63) <= bound < 2**63
    return pl.lit(float(bound) if is_wide else bound)


def _pattern(subject: _Subject) -> pl.Expr:
    pattern = rf"\A(?:{subject.option('pattern')})\z"
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        lines = [line.removeprefix("error: ") for line in str(error).splitlines() if line.startswith("error: ")]
        reason = lines[0] if lines else str(error).splitlines()[0]
        raise subject.fault("pattern", "bad_regex", f"'{subject.option('pattern')}': {reason}.") from None
    return ~subject.text.str.contains(pattern)


def _enum(subject: _Subject) -> pl.Expr:
    words = [_word(value) for value in subject.option("values")]
    if subject.dtype == pl.String:
        return ~subject.col.is_in(words)
    reader = READERS[next(kind for kind, dtype in DTYPES.items() if dtype == subject.dtype)]
    allowed = pl.DataFrame({"value": words}).select(reader(pl.col("value"))).to_series().drop_nulls()
    return ~subject.col.is_in(allowed.implode())


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _length(subject: _Subject) -> pl.Expr:
    length = subject.text.str.len_chars()
    return ~_within(length, subject.option("minimum"), subject.option("maximum"))


def _type(subject: _Subject) -> pl.Expr:
    wanted, dtype = subject.option("type"), subject.dtype
    never = subject.col.is_null() & pl.lit(False)
    if wanted == "string" or DTYPES[wanted] == dtype:
        return never
    if dtype == pl.String:
        return subject.col.is_not_null() & READERS[wanted](subject.col).is_null()
    if (wanted, dtype) in (("number", pl.Int64()), ("datetime", pl.Date())):
        return never
    if wanted == "integer" and dtype == pl.Float64():
        return subject.col != subject.col.floor()
    if wanted == "date" and dtype == pl.Datetime("us"):
        return subject.col != subject.col.dt.truncate("1d")
    if wanted == "boolean" and dtype == pl.Int64():
        return ~subject.col.is_in([0, 1])
    return subject.col.is_not_null()


def _condition(subject: _Subject) -> pl.Expr:
    then = subject.condition("then")
    if subject.option("when") is None:
        return ~then
    return subject.condition("when").fill_null(False) & ~then


def _freshness(subject: _Subject) -> dict[str, pl.Expr]:
    value = subject.moments()
    return {"newest": value.max(), **subject.unreadable(value)}


def _mean(subject: _Subject) -> dict[str, pl.Expr]:
    value = subject.numbers()
    return {"sum": value.cast(pl.Float64).sum(), "count": value.count(), **subject.unreadable(value)}


def _quantile(subject: _Subject) -> dict[str, pl.Expr]:
    """A quantile is above a bound if few enough values are below it: counts decide, and no value need be kept."""
    value, low, high = subject.numbers(), subject.option("minimum"), subject.option("maximum")
    below = {} if low is None else {"below": (value < _literal(low)).sum()}
    up_to = {} if high is None else {"up_to": (value <= _literal(high)).sum()}
    return {"count": value.count(), **below, **up_to, **subject.unreadable(value)}


_FAILING: dict[str, Callable[[_Subject], pl.Expr]] = {
    "type": _type,
    "required": lambda subject: subject.col.is_null(),
    **dict.fromkeys(
        ("minimum", "maximum", "between", "date_range"), lambda subject: subject.failing(subject.bounded())
    ),
    "pattern": _pattern,
    "enum": _enum,
    "length": _length,
    "condition": _condition,
}
_TOTALS: dict[str, Callable[[_Subject], dict[str, pl.Expr]]] = {
    "row_count": lambda subject: {"rows": pl.len()},
    "null_share": lambda subject: {"nulls": subject.col.null_count()},
    "freshness": _freshness,
    "mean": _mean,
    "quantile": _quantile,
}
