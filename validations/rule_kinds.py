"""The kinds of rules: what each is called, what it needs, and how its result is said. Pure data.

Words are those that users of Table Schema, Great Expectations, dbt and Pointblank know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import bounds

TYPES = ("string", "integer", "number", "boolean", "date", "datetime")
#: What an option's value must be: None where it is good, else the end of the sentence "minimum must be …".
Option = Callable[[Any], str | None]


def _number(value: Any) -> str | None:
    return None if bounds.is_number(value) else "a number"


def _bound(value: Any) -> str | None:
    good = bounds.is_number(value) or (isinstance(value, str) and bounds.is_moment(value))
    return None if good else "a number or an ISO 8601 date"


def _moment(value: Any) -> str | None:
    good = isinstance(value, str) and bounds.is_moment(value)
    return None if good else "an ISO 8601 date or datetime, or today or now with an offset such as today-30d"


def _whole(value: Any) -> str | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return None if good else "a whole number, 0 or more"


def _share(value: Any) -> str | None:
    return None if bounds.is_number(value) and 0 <= value <= 1 else "a share from 0 to 1"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "a text that is not empty"


def _type(value: Any) -> str | None:
    return None if value in TYPES else f"one of {', '.join(TYPES)}"


def _span(value: Any) -> str | None:
    try:
        bounds.span(value)
    except (ValueError, TypeError):
        return "a length of time such as 90m, 36h or 7d"
    return None


def _values(value: Any) -> str | None:
    good = isinstance(value, list) and value and all(isinstance(v, str | bool) or bounds.is_number(v) for v in value)
    return None if good else "a list of texts, numbers or booleans, at least one"


def _names(value: Any) -> str | None:
    texts = value if isinstance(value, list) else [value]
    good = bool(texts) and all(isinstance(text, str) and text for text in texts)
    return None if good else "a column, or a list of columns"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of rule. `title` is its sentence; `violation` what is said of one value that breaks it.

    `scope`: `row` rules are decided by a row alone, `table` rules count rows against other rows, `total` rules have one
    answer for the whole column or dataset.
    """

    title: str
    violation: str
    scope: Literal["row", "table", "total"]
    columns: Literal["one", "many", "none"]
    options: Mapping[str, Option] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    needs_one: tuple[str, ...] = ()


_BOUNDS = {"minimum": _bound, "maximum": _bound}
_NUMBERS = {"minimum": _number, "maximum": _number}
_COUNTS = {"minimum": _whole, "maximum": _whole}
_MOMENTS = {"minimum": _moment, "maximum": _moment}
_EITHER = ("minimum", "maximum")

KINDS: dict[str, Kind] = {
    "type": Kind(
        "{column} is {type}", "'{value}' is not of the type {type}.", "row", "one", {"type": _type}, ("type",)
    ),
    "required": Kind("{column} is not empty", "There is no value.", "row", "one"),
    "unique": Kind("{columns} is unique", "'{value}' was there before.", "table", "many"),
    "distinct_rows": Kind("no row is there twice", "The same row was there before.", "table", "none"),
    "minimum": Kind(
        "{column} ≥ {minimum}", "{value} is below {minimum}.", "row", "one", {"minimum": _bound}, ("minimum",)
    ),
    "maximum": Kind(
        "{column} ≤ {maximum}", "{value} is above {maximum}.", "row", "one", {"maximum": _bound}, ("maximum",)
    ),
    "between": Kind(
        "{column} from {minimum} to {maximum}",
        "{value} is not between {minimum} and {maximum}.",
        "row",
        "one",
        _BOUNDS,
        ("minimum", "maximum"),
    ),
    "date_range": Kind(
        "{column} from {minimum} to {maximum}",
        "{value} is not between {minimum} and {maximum}.",
        "row",
        "one",
        _MOMENTS,
        needs_one=_EITHER,
    ),
    "pattern": Kind(
        "{column} matches {pattern}",
        "'{value}' does not match {pattern}.",
        "row",
        "one",
        {"pattern": _text},
        ("pattern",),
    ),
    "enum": Kind(
        "{column} is one of {values}", "'{value}' is none of {values}.", "row", "one", {"values": _values}, ("values",)
    ),
    "length": Kind(
        "{column} has {minimum} to {maximum} characters",
        "'{value}' does not have {minimum} to {maximum} characters.",
        "row",
        "one",
        _COUNTS,
        needs_one=_EITHER,
    ),
    "condition": Kind(
        "if {when} then {then}",
        "{then} does not hold.",
        "row",
        "none",
        {"when": _text, "then": _text},
        ("then",),
    ),
    "foreign_key": Kind(
        "{columns} is in {references} of dataset {dataset}",
        "'{value}' is not in {references} of the other dataset.",
        "table",
        "many",
        {"dataset": _text, "references": _names},
        ("dataset", "references"),
    ),
    "row_count": Kind("{minimum} to {maximum} rows", "", "total", "none", _COUNTS, needs_one=_EITHER),
    "null_share": Kind("at most {maximum} of {column} is empty", "", "total", "one", {"maximum": _share}, ("maximum",)),
    "freshness": Kind(
        "the newest {column} is at most {max_age} old", "", "total", "one", {"max_age": _span}, ("max_age",)
    ),
    "mean": Kind("mean of {column} from {minimum} to {maximum}", "", "total", "one", _NUMBERS, needs_one=_EITHER),
    "quantile": Kind(
        "quantile {quantile} of {column} from {minimum} to {maximum}",
        "",
        "total",
        "one",
        {"quantile": _share, **_NUMBERS},
        ("quantile",),
        _EITHER,
    ),
}
