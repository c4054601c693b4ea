"""One run: read the table, settle what looks at rows beside other rows, judge, and report."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from lro import Fail, Operation, OperationContext

from . import reports
from .batches import Batch
from .bounds import without_zone
from .findings import Findings
from .models import RuleSet, Run, Violation
from .plans import Plan, State
from .row_pass import RowPass
from .table_rules import TableRules
from .tallies import Tally
from .verdicts import Outcome, compared, outcomes_of, overall

_MOST_DETAILS = 20


class ValidationRun:
    def __init__(
        self, op: OperationContext, *, dataset: str, rules: list[dict[str, Any]], as_of: str | None, **wanted: Any
    ) -> None:
        self.op, self.wanted = op, wanted
        self.plan = Plan.of(dataset, rules, _as_of(op, as_of))
        self.state = State.from_json(op.cursor)
        self.findings = Findings(op, self.state, wanted["max_violations"])
        _begin_anew(op)

    def run(self) -> dict[str, Any]:
        groups = _groups(self.plan.batches, self.wanted["rows_per_child"])
        table_rules = TableRules(self.op, self.plan, self.state, self.findings)
        if len(groups) > 1:
            self._gather(groups)
        if not self.state.is_reported:
            self._read(table_rules)
        outcomes = outcomes_of(self.plan.rules, self.state.tally, self.plan.dataset.rows, self.plan.as_of)
        return self._conclude(outcomes)

    def _gather(self, groups: list[list[Batch]]) -> None:
        """Let children read the table, and fold what they found in the order of its rows."""
        if self.state.is_gathered:
            return
        self.op.step("rows")
        rules = [rule.to_json() for rule in self.plan.rules]
        common: dict[str, Any] = {
            "dataset": str(self.plan.dataset.id),
            "rules": rules,
            "as_of": f"{self.plan.as_of.isoformat()}Z",
        }
        common["max_violations"] = self.findings.at_most
        parts = ({**common, "first_batch": group[0].index, "last_batch": group[-1].index} for group in groups)
        self.op.spawn("validations.run-part", parts)
        children = self.op.gather()
        for result in (child.result or {} for child in children):
            self.state.tally.merge(Tally.from_json(result["tally"]))
        self.findings.adopt(children)
        self.state.is_gathered = True
        self.state.batch, self.state.rows = 0, self.plan.dataset.rows
        self.findings.checkpoint()

    def _read(self, table_rules: TableRules) -> None:
        hash_files = table_rules.open()
        if not self.state.is_gathered:
            self.op.step("rows")
            row_pass = RowPass(self.op, self.plan, self.state, self.findings)
            row_pass.hash_files = hash_files
            row_pass.run(self.plan.batches)
        if any(rule.scope == "table" for rule in self.plan.rules):
            self.op.step("keys")
            table_rules.settle()

    def _conclude(self, outcomes: list[Outcome]) -> dict[str, Any]:
        before = self._before()
        if before is not None:
            changes = compared(outcomes, before.outcomes)
            outcomes = [{**outcome, "change": changes[outcome["id"]]} for outcome in outcomes]
        result = self._result(outcomes, before)
        if not self.state.is_reported:
            self.op.step("report")
            reports.write(self.op, self.plan, result)
            self.state.is_reported = True
            self.op.checkpoint(self.state.to_json(), save=lambda: self._record(result))
        self._gate(result)
        return reports.bounded(result)

    def _result(self, outcomes: list[Outcome], before: Run | None) -> dict[str, Any]:
        counts = Counter(outcome["status"] for outcome in outcomes)
        return {
            "verdict": overall(outcomes),
            "dataset": str(self.plan.dataset.id),
            "dataset_name": self.plan.dataset.name,
            "rows": self.plan.dataset.rows,
            "as_of": f"{self.plan.as_of.isoformat()}Z",
            "rule_set": self.wanted["rule_set"],
            "version": self.wanted["version"],
            **{status: counts[status] for status in ("passed", "failed", "errored")},
            "outcomes": outcomes,
            "before": before and _before_json(before),
            "reports": list(reports.NAMES),
        }

    def _before(self) -> Run | None:
        """The run of the same rule set on a dataset of the same name that was started last before this one."""
        if self.wanted["rule_set"] is None:
            return None
        name = self.plan.dataset.name
        runs = Run.objects.filter(rule_set_id=self.wanted["rule_set"], dataset_name=name)
        return runs.filter(operation_id__lt=self.op.id).order_by("-operation_id").first()

    def _record(self, result: dict[str, Any]) -> None:
        """With the last checkpoint: the row for the next run, and what is told of each rule and of the whole."""
        if self._is_kept(result["rule_set"]):
            kept = {o["id"]: {key: o[key] for key in ("status", "failed", "share")} for o in result["outcomes"]}
            values = {"verdict": result["verdict"], "outcomes": kept, "dataset_name": result["dataset_name"]}
            values |= {"rule_set_id": result["rule_set"], "version": result["version"]}
            Run.objects.update_or_create(operation_id=self.op.id, defaults=values)
        done = ({**outcome, "columns": outcome["columns"][:_MOST_DETAILS]} for outcome in result["outcomes"])
        self.op.event("validations.rule_done", *done)
        summary = {key: result[key] for key in ("verdict", "rows", "passed", "failed", "errored")}
        self.op.event("validations.completed", summary)

    def _is_kept(self, rule_set: str | None) -> bool:
        """Whether there is a rule set, which nobody can delete before the run is recorded."""
        if rule_set is None:
            return False
        return RuleSet.objects.filter(pk=rule_set).select_for_update(no_key=True).first() is not None

    def _gate(self, result: dict[str, Any]) -> None:
        wanted = {"never": (), "error": ("error",), "warning": ("error", "warning")}[self.wanted["fail_on"]]
        bad = [o for o in result["outcomes"] if o["status"] != "passed" and o["severity"] in wanted]
        if bad:
            names = ", ".join(outcome["id"] for outcome in bad[:5]) + (", …" if len(bad) > 5 else "")
            message = f"{len(bad)} of {len(result['outcomes'])} rules did not pass: {names}. The reports say where."
            raise Fail("validation_failed", message, [_detail(outcome) for outcome in bad[:_MOST_DETAILS]])


def run_part(
    op: OperationContext,
    *,
    dataset: str,
    rules: list[dict[str, Any]],
    first_batch: int,
    last_batch: int,
    max_violations: int,
    as_of: str,
) -> dict[str, Any]:
    """What a child does: read some batches, and hand its tally to the parent."""
    plan = Plan.of(dataset, rules, _as_of(op, as_of))
    state = State.from_json(op.cursor)
    _begin_anew(op)
    findings = Findings(op, state, max_violations)
    RowPass(op, plan, state, findings).run(plan.batches[first_batch : last_batch + 1])
    return {"rows": state.rows, "tally": state.tally.to_json()}


def _begin_anew(op: OperationContext) -> None:
    """Delete what an earlier run of it found, where there is one; whoever lost its lease deletes nothing."""
    found = Violation.objects.filter(operation_id=op.id)
    if op.cursor is None and found.exists():
        op.checkpoint(None, save=found.delete)


def _groups(batches: list[Batch], rows: int) -> list[list[Batch]]:
    """Batches in their order, until a group has so many rows."""
    groups: list[list[Batch]] = [[]]
    for batch in batches:
        if sum(each.rows for each in groups[-1]) >= rows:
            groups.append([])
        groups[-1].append(batch)
    return groups


def _as_of(op: OperationContext, text: str | None) -> datetime:
    """What `now` is: the same in every attempt."""
    moment = Operation.objects.get(pk=op.id).created_at if text is None else datetime.fromisoformat(text)
    return without_zone(moment)


def _detail(outcome: Outcome) -> dict[str, Any]:
    """One rule that did not pass, as the error of the operation names it."""
    return {key: outcome[key] for key in ("id", "rule", "status", "failed", "share", "severity")}


def _before_json(run: Run) -> dict[str, Any]:
    return {"operation": str(run.operation_id), "version": run.version, "verdict": run.verdict}
