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
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(op: OperationContext, plan: Plan, result: dict[str, Any]) -> None:
    """Keep the three reports as artifacts of the operation."""
    samples = _samples(op, plan)
    folder = op.tempfile()
    folder.mkdir()
    report = {**result, "violations": samples}
    (folder / "report.json").write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
    (folder / "report.html").write_text(page(result, samples), encoding="utf-8")
    _write_csv(folder / "violations.csv", plan, samples)
    types = ("text/html; charset=utf-8", "application/json", "text/csv; charset=utf-8")
    for name, content_type in zip(NAMES, types, strict=True):
        op.artifact(folder / name, name, content_type=content_type)


def page(result: dict[str, Any], samples: dict[str, list[dict[str, Any]]]) -> str:
    """The page: one file, without scripts."""
    order = {"failed": 0, "errored": 1, "passed": 2}
    outcomes = [
        {**outcome, "samples": samples.get(outcome["id"], [])[:_SHOWN], "percent": 100 * outcome["share"]}
        for outcome in sorted(result["outcomes"], key=lambda each: order[each["status"]])
    ]
    return render_to_string("validations/report.html", {"result": result, "outcomes": outcomes})


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
