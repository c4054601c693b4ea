"""Rules as polars expressions: what each measures in one batch of rows, and which rows break it.

Null passes every rule but `required`. A text cell where a bound needs a number or a date breaks the rule if it is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from .faults import BadRules, Fault, did_you_mean
from .readings import READERS
from .rule_documents import Rule
from .subjects import DTYPES, Schema, Subject, literal, within


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
    subject = Subject(rule, schema, as_of, place)
    if rule.scope == "total":
        return Check(rule, _TOTALS[rule.kind](subject), shown=rule.columns)
    failing = _FAILING[rule.kind](subject)
    shown = rule.columns or tuple(name for name in schema if name in subject.named)
    return Check(rule, {"failed": failing.sum()}, failing, shown)


def _pattern(subject: Subject) -> pl.Expr:
    pattern = rf"\A(?:{subject.option('pattern')})\z"
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        lines = [line.removeprefix("error: ") for line in str(error).splitlines() if line.startswith("error: ")]
        reason = lines[0] if lines else str(error).splitlines()[0]
        raise subject.fault("pattern", "bad_regex", f"'{subject.option('pattern')}': {reason}.") from None
    return ~subject.text.str.contains(pattern)


def _enum(subject: Subject) -> pl.Expr:
    words = [_word(value) for value in subject.option("values")]
    if subject.dtype == pl.String:
        return ~subject.col.is_in(words)
    reader = READERS[next(kind for kind, dtype in DTYPES.items() if dtype == subject.dtype)]
    allowed = pl.DataFrame({"value": words}).select(reader(pl.col("value"))).to_series().drop_nulls()
    return ~subject.col.is_in(allowed.implode())


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _length(subject: Subject) -> pl.Expr:
    length = subject.text.str.len_chars()
    return ~within(length, subject.option("minimum"), subject.option("maximum"))


def _type(subject: Subject) -> pl.Expr:
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


def _condition(subject: Subject) -> pl.Expr:
    then = subject.condition("then")
    if subject.option("when") is None:
        return ~then
    return subject.condition("when").fill_null(False) & ~then


def _freshness(subject: Subject) -> dict[str, pl.Expr]:
    value = subject.moments()
    return {"newest": value.max(), **subject.unreadable(value)}


def _mean(subject: Subject) -> dict[str, pl.Expr]:
    value = subject.numbers()
    return {"sum": value.cast(pl.Float64).sum(), "count": value.count(), **subject.unreadable(value)}


def _quantile(subject: Subject) -> dict[str, pl.Expr]:
    """A quantile is above a bound if few enough values are below it: counts decide, and no value need be kept."""
    value, low, high = subject.numbers(), subject.option("minimum"), subject.option("maximum")
    below = {} if low is None else {"below": (value < literal(low)).sum()}
    up_to = {} if high is None else {"up_to": (value <= literal(high)).sum()}
    return {"count": value.count(), **below, **up_to, **subject.unreadable(value)}


_FAILING: dict[str, Callable[[Subject], pl.Expr]] = {
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
_TOTALS: dict[str, Callable[[Subject], dict[str, pl.Expr]]] = {
    "row_count": lambda subject: {"rows": pl.len()},
    "null_share": lambda subject: {"nulls": subject.col.null_count()},
    "freshness": _freshness,
    "mean": _mean,
    "quantile": _quantile,
}
