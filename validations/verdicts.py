"""From what was measured to passed or failed, for each rule and for the whole, and beside the run before. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

from . import bounds
from .rule_documents import Rule
from .tallies import Measures, Tally

Outcome = dict[str, Any]


def outcomes_of(rules: list[Rule], tally: Tally, rows: int, as_of: datetime) -> list[Outcome]:
    """What came of each rule, in their order."""
    return [_outcome(rule, tally, rows, as_of) for rule in rules]


def overall(outcomes: list[Outcome]) -> str:
    """`failed` where a rule of severity error did not pass, `warning` where another did not, else `passed`."""
    bad = {outcome["severity"] for outcome in outcomes if outcome["status"] != "passed"}
    return "failed" if "error" in bad else "warning" if bad else "passed"


def _outcome(rule: Rule, tally: Tally, rows: int, as_of: datetime) -> Outcome:
    outcome: Outcome = {
        "id": rule.id,
        "rule": rule.kind,
        "name": rule.name,
        "columns": list(rule.columns),
        "severity": rule.severity,
        "threshold": rule.threshold,
        "status": "errored",
        "failed": 0,
        "share": 0.0,
        "observed": None,
        "message": "",
    }
    measured = tally.rules.get(rule.id, {})
    error = tally.errors.get(rule.id) or _unreadable(rule, measured)
    if error:
        return {**outcome, "message": error}
    if rule.scope == "total":
        is_good, observed = _TOTALS[rule.kind](rule, measured, rows, as_of)
        return {**outcome, "status": "passed" if is_good else "failed", "observed": observed}
    failed = int(measured.get("failed", 0))
    share = failed / rows if rows else 0.0
    status = "passed" if is_within(rule.threshold, failed, rows) else "failed"
    return {**outcome, "status": status, "failed": failed, "share": share}


def is_within(threshold: float, failed: int, rows: int) -> bool:
    """Whether so many violations are allowed: at most a count (int), or at most a share of the rows (float)."""
    if isinstance(threshold, int):
        return failed <= threshold
    return failed <= Fraction(str(threshold)) * rows


def _unreadable(rule: Rule, measured: Measures) -> str | None:
    count = measured.get("unreadable", 0)
    wanted = "times" if rule.kind == "freshness" else "numbers"
    return f"{count:,} texts in column {rule.column} are no {wanted}." if count else None


def _row_count(rule: Rule, measured: Measures, rows: int, as_of: datetime) -> tuple[bool, Any]:
    return _is_between(rule, rows), rows


def _null_share(rule: Rule, measured: Measures, rows: int, as_of: datetime) -> tuple[bool, Any]:
    nulls = measured.get("nulls", 0)
    return nulls <= Fraction(str(rule.options["maximum"])) * rows, nulls / rows if rows else 0.0


def _freshness(rule: Rule, measured: Measures, rows: int, as_of: datetime) -> tuple[bool, Any]:
    newest = measured.get("newest")
    if newest is None:
        return False, None
    return datetime.fromisoformat(newest) >= bounds.before(as_of, rule.options["max_age"]), newest


def _mean(rule: Rule, measured: Measures, rows: int, as_of: datetime) -> tuple[bool, Any]:
    """There is no mean of no values: the rule passes, as it does for every null."""
    if not measured.get("count"):
        return True, None
    mean = Fraction(measured["sum"]) / measured["count"]
    return _is_between(rule, mean), float(mean)


def _quantile(rule: Rule, measured: Measures, rows: int, as_of: datetime) -> tuple[bool, Any]:
    """The quantile q of n values is the smallest value that at least q · n values do not exceed."""
    count = measured.get("count", 0)
    if not count:
        return True, None
    rank = max(1, math.ceil(Fraction(str(rule.options["quantile"])) * count))
    is_above = measured.get("below", 0) < rank
    is_below = measured.get("up_to", count) >= rank
    shares = {key: measured[key] / count for key in ("below", "up_to") if key in measured}
    return is_above and is_below, shares


def _is_between(rule: Rule, value: Any) -> bool:
    low, high = rule.options.get("minimum"), rule.options.get("maximum")
    return (low is None or value >= low) and (high is None or value <= high)


_TOTALS = {
    "row_count": _row_count,
    "null_share": _null_share,
    "freshness": _freshness,
    "mean": _mean,
    "quantile": _quantile,
}


def compared(outcomes: list[Outcome], before: Mapping[str, Any]) -> dict[str, str]:
    """How each rule stands beside the outcomes of the run before (by id: `status`, `failed`, `share`).

    `new`: it passed, or was not there, and does not pass now; `fixed`: the other way round; `worse`, `better`: another
    share of the rows breaks it; else `same`.
    """
    return {outcome["id"]: _change(outcome, before.get(outcome["id"])) for outcome in outcomes}


def _change(now: Outcome, then: Mapping[str, Any] | None) -> str:
    is_bad, was_bad = now["status"] != "passed", then is not None and then["status"] != "passed"
    if is_bad != was_bad:
        return "new" if is_bad else "fixed"
    if then is None or now["share"] == then["share"]:
        return "same"
    return "worse" if now["share"] > then["share"] else "better"
