"""The reports of a run: JSON for machines, CSV of the violations, and a page for people that prints well."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.template.loader import render_to_string

from lro import OperationContext

from .findings import violation
from .models import Violation
from .plans import Plan

NAMES = ("report.html", "report.json", "violations.csv")
#: Violations of a rule that the page shows.
_SHOWN = 10
_RESULT_BYTES = 200_000
_CSV_COLUMNS = ("row", "rule", "severity", "column", "value", "message")
#: What a spreadsheet would run as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write(op: OperationContext, plan: Plan, result: dict[str, Any]) -> None:
    """Keep the three reports as artifacts of the operation."""
    samples = _samples(op, plan)
    folder = op.tempfile()
    folder.mkdir()
    report = {**result, "violations": samples}
    (folder / "report.json").write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
    said = {rule.id: rule.message for rule in plan.rules}
    (folder / "report.html").write_text(page(result, samples, said), encoding="utf-8")
    _write_csv(folder / "violations.csv", plan, samples)
    types = ("text/html; charset=utf-8", "application/json", "text/csv; charset=utf-8")
    for name, content_type in zip(NAMES, types, strict=True):
        op.artifact(folder / name, name, content_type=content_type)


def page(result: dict[str, Any], samples: dict[str, list[dict[str, Any]]], said: dict[str, str]) -> str:
    """The page: one file, without scripts. `said` is what a rule itself says of what breaks it."""
    order = {"failed": 0, "errored": 1, "passed": 2}
    outcomes = [
        {
            **outcome,
            "samples": samples.get(outcome["id"], [])[:_SHOWN],
            "said": said.get(outcome["id"]) if outcome["failed"] else "",
            "facts": " · ".join(_facts(outcome)),
        }
        for outcome in sorted(result["outcomes"], key=lambda each: order[each["status"]])
    ]
    shown = {**result, "rows": f"{result['rows']:,}"}
    return render_to_string("validations/report.html", {"result": shown, "outcomes": outcomes})


def _facts(outcome: dict[str, Any]) -> Iterator[str]:
    """The line below the name of a rule."""
    yield from (outcome["id"], outcome["severity"])
    if count := outcome["failed"]:
        yield f"{count:,} {'row breaks' if count == 1 else 'rows break'} it ({_percent(outcome['share'])})"
    if limit := outcome["threshold"]:
        yield f"allowed: {f'{limit:,}' if isinstance(limit, int) else _percent(limit)}"
    if (observed := outcome["observed"]) is not None:
        yield f"observed: {_observed(observed)}"
    if outcome.get("change", "same") != "same":
        yield f"{outcome['change']} since the run before"


def _observed(value: Any) -> str:
    if isinstance(value, dict):  # of a quantile
        words = {"below": "below the minimum", "up_to": "up to the maximum"}
        return ", ".join(f"{_percent(share)} of the values {words[name]}" for name, share in value.items())
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if isinstance(value, float) else str(value)


def _percent(share: float) -> str:
    return "less than 0.01 %" if 0 < share < 0.0001 else f"{100 * share:.4g} %"


def bounded(result: dict[str, Any]) -> dict[str, Any]:
    """The result of the operation: where it is too long, the rules that passed are in `report.json` only."""
    if len(json.dumps(result)) <= _RESULT_BYTES:
        return result
    bad = [outcome for outcome in result["outcomes"] if outcome["status"] != "passed"]
    while len(json.dumps(bad)) > _RESULT_BYTES:
        bad = bad[: len(bad) // 2]
    return {**result, "outcomes": bad}


def _samples(op: OperationContext, plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """What was kept of each rule, in the order of the rows."""
    rules = {rule.id: rule for rule in plan.rules}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in Violation.objects.filter(operation_id=op.id).order_by("rule", "row"):
        found.setdefault(row.rule, []).append(violation(rules[row.rule], row.row, row.value))
    return found


def _write_csv(path: Path, plan: Plan, samples: dict[str, list[dict[str, Any]]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_CSV_COLUMNS)
        for rule in plan.rules:
            writer.writerows(_csv_rows(samples.get(rule.id, [])))


def _csv_rows(found: list[dict[str, Any]]) -> Iterator[list[str]]:
    for each in found:
        cells = [str(each[name]) for name in _CSV_COLUMNS]
        yield [f"'{cell}" if cell.startswith(_FORMULA) and not _is_number(cell) else cell for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
