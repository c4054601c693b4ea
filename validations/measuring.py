"""What one batch of rows says of the rules, and the first of its rows that break one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from .checks import Check
from .tallies import Measures

_VALUE_CHARACTERS = 200


def measure(checks: Sequence[Check], frame: Any) -> tuple[dict[str, Measures], dict[str, str]]:
    """The measures by the id of their rule, and of those that could not be measured why."""
    try:
        return _sound(_measured(checks, frame))
    except (pl.exceptions.PolarsError, ValueError, OverflowError) as error:  # the last two: a year beyond Python's
        if len(checks) == 1:
            return {}, {checks[0].rule.id: f"It cannot be computed: {str(error).splitlines()[0]}"}
    found: dict[str, Measures] = {}
    errors: dict[str, str] = {}
    for check in checks:
        measures, wrong = measure([check], frame)
        found |= measures
        errors |= wrong
    return found, errors


def _sound(found: dict[str, Measures]) -> tuple[dict[str, Measures], dict[str, str]]:
    """What can be added up, and why the rest cannot."""
    endless = [rule for rule, measures in found.items() if not math.isfinite(measures.get("sum") or 0)]
    reason = "The sum is not finite: a value is NaN or infinite, or all together are beyond the range of floats."
    return {rule: own for rule, own in found.items() if rule not in endless}, dict.fromkeys(endless, reason)


def _measured(checks: Sequence[Check], frame: Any) -> dict[str, Measures]:
    """All of them in one query, so that what rules have in common is computed once."""
    places = [(check.rule.id, name, expr) for check in checks for name, expr in check.measures.items()]
    if not places:
        return {}
    query = frame.lazy().select(expr.alias(str(index)) for index, (_, _, expr) in enumerate(places))
    row = query.collect().row(0)
    found: dict[str, Measures] = {}
    for (rule, name, _), value in zip(places, row, strict=True):
        found.setdefault(rule, {})[name] = value.isoformat() if isinstance(value, datetime) else value
    return found


def failing_rows(check: Check, frame: Any, at_most: int) -> list[int]:
    """The places in the batch, from 0, of the first rows that break the rule."""
    assert check.failing is not None
    places = frame.select(pl.arg_where(check.failing)).to_series()
    return [int(place) for place in places.head(at_most)]


def shown(frame: Any, places: Sequence[int], columns: Sequence[str]) -> list[str]:
    """The cells of these rows as people read them: one as it is, several with their names."""
    if not columns:
        return [""] * len(places)
    rows = _rows(frame.select(columns)[list(places)])
    if len(columns) == 1:
        return [_cell(row[0]) for row in rows]
    texts = (", ".join(f"{name}={_cell(cell)}" for name, cell in zip(columns, row, strict=True)) for row in rows)
    return [text[:_VALUE_CHARACTERS] for text in texts]


def _rows(cells: Any) -> list[tuple[Any, ...]]:
    try:
        return list(cells.rows())
    except (ValueError, OverflowError):  # a year beyond Python's
        return list(cells.cast({pl.Date: pl.String, pl.Datetime: pl.String}).rows())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text[:_VALUE_CHARACTERS].replace("\0", "�")
