"""The rules once more, in plain Python and row by row: slow, simple, and independent of how the module does it."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

Row = dict[str, Any]


def expected(rules: list[dict[str, Any]], rows: list[Row], others: dict[str, list[Row]], as_of: datetime) -> list[Any]:
    """Of each rule its status and the rows, from 1, that break it (none for rules about the whole)."""
    return [_judge(rule, rows, others, as_of) for rule in rules]


def _judge(
    rule: dict[str, Any], rows: list[Row], others: dict[str, list[Row]], as_of: datetime
) -> tuple[str, list[int]]:
    kind = rule["rule"]
    if kind in _WHOLE:
        return ("passed" if _WHOLE[kind](rule, rows, as_of) else "failed"), []
    if kind in ("unique", "distinct_rows"):
        bad = _repeats(rule, rows)
    elif kind == "foreign_key":
        bad = _missing(rule, rows, others[rule["dataset"]])
    else:
        bad = [number for number, row in enumerate(rows, 1) if _breaks(rule, row)]
    threshold = rule.get("threshold", 0)
    allowed = threshold if isinstance(threshold, int) else Fraction(str(threshold)) * len(rows)
    return ("passed" if len(bad) <= allowed else "failed"), bad


def _columns(rule: dict[str, Any], row: Row) -> list[str]:
    if "column" in rule:
        return [rule["column"]]
    return rule.get("columns", list(row))


def _repeats(rule: dict[str, Any], rows: list[Row]) -> list[int]:
    seen: set[Any] = set()
    bad = []
    for number, row in enumerate(rows, 1):
        key = tuple(row[name] for name in _columns(rule, row))
        if rule["rule"] == "unique" and None in key:
            continue
        if key in seen:
            bad.append(number)
        seen.add(key)
    return bad


def _missing(rule: dict[str, Any], rows: list[Row], other: list[Row]) -> list[int]:
    names = rule["references"] if isinstance(rule["references"], list) else [rule["references"]]
    known = {tuple(row[name] for name in names) for row in other}
    keys = [tuple(row[name] for name in _columns(rule, row)) for row in rows]
    return [number for number, key in enumerate(keys, 1) if None not in key and key not in known]


def _breaks(rule: dict[str, Any], row: Row) -> bool:
    kind = rule["rule"]
    if kind == "condition":
        return _condition(rule, row)
    value = row[rule["column"]]
    if kind == "required":
        return value is None
    if value is None:
        return False
    return bool(_BREAKS[kind](rule, value))


def _condition(rule: dict[str, Any], row: Row) -> bool:
    """Only the expressions that the tests use, each with its meaning in Python."""
    meanings = {
        "number > 0": lambda r: None if r["number"] is None else r["number"] > 0,
        "flag": lambda r: r["flag"],
        "text is not null": lambda r: r["text"] is not None,
        "whole < number": lambda r: None if None in (r["whole"], r["number"]) else r["whole"] < r["number"],
        "text like 'a%'": lambda r: None if r["text"] is None else r["text"].startswith("a"),
    }
    if "when" in rule and meanings[rule["when"]](row) is not True:
        return False
    return meanings[rule["then"]](row) is False


def _bounds(rule: dict[str, Any], value: Any) -> bool:
    low, high = rule.get("minimum"), rule.get("maximum")
    if isinstance(value, date):
        low, high = (bound and date.fromisoformat(bound) for bound in (low, high))
    if isinstance(value, str):
        value = float(value) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value) else None
        if value is None or math.isinf(value):
            return True
    return (low is not None and value < low) or (high is not None and value > high)


def _is_none_of(rule: dict[str, Any], value: Any) -> bool:
    return str(value) not in [str(each) for each in rule["values"]]


_BREAKS: dict[str, Any] = {
    **dict.fromkeys(("minimum", "maximum", "between", "date_range"), _bounds),
    "pattern": lambda rule, value: not re.fullmatch(rule["pattern"], value),
    "enum": _is_none_of,
    "length": lambda rule, value: not rule.get("minimum", 0) <= len(value) <= rule.get("maximum", math.inf),
    "type": lambda rule, value: not re.fullmatch(r"[+-]?[0-9]+", value) or abs(int(value)) >= 2**63,
}


def _values(rule: dict[str, Any], rows: list[Row]) -> list[Any]:
    return [row[rule["column"]] for row in rows if row[rule["column"]] is not None]


def _within(rule: dict[str, Any], value: Any) -> bool:
    return bool(rule.get("minimum", -math.inf) <= value <= rule.get("maximum", math.inf))


def _quantile(rule: dict[str, Any], rows: list[Row], as_of: datetime) -> bool:
    values = sorted(_values(rule, rows))
    if not values:
        return True
    rank = max(1, math.ceil(Fraction(str(rule["quantile"])) * len(values)))
    return _within(rule, values[rank - 1])


def _mean(rule: dict[str, Any], rows: list[Row], as_of: datetime) -> bool:
    values = _values(rule, rows)
    return not values or _within(rule, Fraction(sum(map(Fraction, values)), len(values)))


def _fresh(rule: dict[str, Any], rows: list[Row], as_of: datetime) -> bool:
    values = _values(rule, rows)
    age = timedelta(days=int(rule["max_age"].removesuffix("d")))
    return bool(values) and datetime.combine(max(values), datetime.min.time()) >= as_of - age


_WHOLE: dict[str, Any] = {
    "row_count": lambda rule, rows, as_of: _within(rule, len(rows)),
    "null_share": lambda rule, rows, as_of: (
        len(rows) - len(_values(rule, rows)) <= Fraction(str(rule["maximum"])) * len(rows)
    ),
    "mean": _mean,
    "quantile": _quantile,
    "freshness": _fresh,
}
