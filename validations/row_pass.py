"""One reading of the table: every rule that a batch of rows can decide, with the first rows that break it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lro import Fail, OperationContext

from .batches import Batch
from .findings import Findings
from .measuring import failing_rows, measure, shown
from .plans import Plan, State
from .references import Reference, held_while_reading
from .repeats import HashFile
from .rule_documents import Rule

#: A checkpoint costs some ms: not more than two a second, which is also how much work a kill can cost.
CHECKPOINT_SECONDS = 0.5


class RowPass:
    """Reads the batches from where the state stands to the end of `batches`."""

    def __init__(self, op: OperationContext, plan: Plan, state: State, findings: Findings) -> None:
        self.op, self.plan, self.state, self.findings = op, plan, state, findings
        self.checks = [check for check in plan.checks if check.measures]
        self.references: list[tuple[Rule, Reference, Any]] = []
        self.hash_files: dict[str, HashFile] = {}

    def run(self, batches: Sequence[Batch]) -> None:
        total = sum(batch.rows for batch in batches)
        self._report(total)
        self._load_references()
        saved = time.monotonic()
        for batch in batches:
            if batch.index < self.state.batch:
                continue
            self.op.check()
            self._take(batch)
            self._report(total)
            if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                self.findings.checkpoint()
                saved = time.monotonic()
        self.findings.checkpoint()

    def _load_references(self) -> None:
        """Those whose keys are few enough to be held during the reading."""
        rules = self.plan.of_kind("foreign_key")
        held = held_while_reading(rules)
        for rule in rules:
            if rule.id not in held:
                continue
            try:
                reference = Reference(rule, self.plan.schema, self.op.check)
            except Fail as gone:
                self.state.tally.fail(rule.id, str(gone))
                continue
            self.references.append((rule, reference, reference.held()))

    def _take(self, batch: Batch) -> None:
        frame = self.plan.read(batch)
        measured, errors = measure([check for check in self.checks if self._is_sound(check.rule)], frame)
        for identifier, message in errors.items():
            self.state.tally.fail(identifier, message)
        for identifier, measures in measured.items():
            self.state.tally.add(identifier, measures)
        self._keep_failing(frame, batch, measured)
        for rule, reference, held in self.references:
            self._keep_missing(rule, reference.missing(reference.keys(frame, batch.first_row), held), frame, batch)
        for rule in self.plan.of_kind("unique", "distinct_rows"):
            if rule.id in self.hash_files:
                self.hash_files[rule.id].add(self.plan.keys(rule, frame, batch.first_row))
        self.state.batch = batch.index + 1
        self.state.rows += batch.rows

    def _is_sound(self, rule: Rule) -> bool:
        return rule.id not in self.state.tally.errors

    def _keep_failing(self, frame: Any, batch: Batch, measured: dict[str, Any]) -> None:
        for check in self.checks:
            room = self.findings.room(check.rule)
            if room > 0 and measured.get(check.rule.id, {}).get("failed"):
                places = failing_rows(check, frame, room)
                rows = [batch.first_row + place for place in places]
                self.findings.add(check.rule, rows, shown(frame, places, check.shown))

    def _keep_missing(self, rule: Rule, missing: Any, frame: Any, batch: Batch) -> None:
        self.state.tally.add(rule.id, {"failed": len(missing)})
        rows = missing.head(max(0, self.findings.room(rule))).to_list()
        if rows:
            self.findings.add(rule, rows, shown(frame, [row - batch.first_row for row in rows], rule.columns))

    def _report(self, total: int) -> None:
        tally = self.state.tally
        broken = sum(1 for rule in self.plan.rules if tally.failed(rule.id) or rule.id in tally.errors)
        message = f"{len(self.plan.rules)} rules, {broken} broken so far"
        self.op.progress(self.state.rows, total, unit="rows", message=message)
