"""The violations that are kept and told: the first of each rule, written with the checkpoint that covers them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lro import Operation, OperationContext

from .models import Violation
from .plans import State
from .rule_documents import Rule, violation_of

#: How many violations of a rule are told live, and how many bytes of them in one event.
TOLD, TOLD_BYTES = 20, 40_000


class Findings:
    """What waits for the next checkpoint."""

    def __init__(self, op: OperationContext, state: State, at_most: int) -> None:
        self.op, self.state, self.at_most = op, state, at_most
        self.pending: list[Violation] = []
        self.news: list[dict[str, Any]] = []
        self.news_bytes = 0

    def room(self, rule: Rule) -> int:
        """How many violations of the rule may still be kept."""
        return self.at_most - self.state.sampled.get(rule.id, 0)

    def add(self, rule: Rule, rows: Sequence[int], values: Sequence[str]) -> None:
        """Keep violations; the numbers of the rows ascend."""
        for row, value in zip(rows, values, strict=True):
            self._keep(rule.id, row, rule.column[:255], value)
            if self.state.told.get(rule.id, 0) < TOLD:
                self._tell(rule, row, value)

    def _tell(self, rule: Rule, row: int, value: str) -> None:
        """With the next event, where there is room in it."""
        found = violation(rule, row, value)
        size = len(json.dumps(found))
        if self.news_bytes + size <= TOLD_BYTES:
            self.state.told[rule.id] = self.state.told.get(rule.id, 0) + 1
            self.news.append(found)
            self.news_bytes += size

    def adopt(self, children: Iterable[Operation]) -> None:
        """Keep what the children kept, as if this operation had read all the rows itself."""
        for child in children:
            for found in Violation.objects.filter(operation_id=child.pk).order_by("id"):
                if self.state.sampled.get(found.rule, 0) < self.at_most:
                    self._keep(found.rule, found.row, found.column, found.value)

    def _keep(self, rule: str, row: int, column: str, value: str) -> None:
        self.state.sampled[rule] = self.state.sampled.get(rule, 0) + 1
        self.pending.append(Violation(operation_id=self.op.id, rule=rule, row=row, column=column, value=value))

    def checkpoint(self) -> None:
        """Make the state, the violations and their event durable together."""
        self.op.checkpoint(self.state.to_json(), save=self._save)
        self.pending, self.news, self.news_bytes = [], [], 0

    def _save(self) -> None:
        for found in self.pending:
            found.pk = None  # given in a transaction that may have been lost
        Violation.objects.bulk_create(self.pending, batch_size=1000)
        if self.news:
            rules = self.state.tally.rules
            counts = {found["rule"]: rules.get(found["rule"], {}).get("failed", 0) for found in self.news}
            self.op.event("validations.violation", {"violations": self.news, "failed": counts})


def violation(rule: Rule, row: int, value: str) -> dict[str, Any]:
    """One violation as clients are told of it."""
    message = violation_of(rule, value)
    found = {"rule": rule.id, "severity": rule.severity, "row": row, "column": rule.column[:255], "value": value}
    return {**found, "message": f"Row {row:,}: {message}"}
