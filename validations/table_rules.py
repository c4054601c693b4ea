"""Rules that look at rows beside other rows, settled after the reading: repeated keys, and large foreign keys."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from heapq import nsmallest
from typing import Any

from lro import Fail, OperationContext

from . import row_pass
from .findings import Findings
from .measuring import shown
from .plans import Plan, State
from .references import Reference, held_while_reading
from .repeats import Found, HashFile, repeats
from .rule_documents import Rule


class TableRules:
    def __init__(self, op: OperationContext, plan: Plan, state: State, findings: Findings) -> None:
        self.op, self.plan, self.state, self.findings = op, plan, state, findings
        self.hash_files: dict[str, HashFile] = {}

    def open(self) -> dict[str, HashFile]:
        """A file for the hashes of each rule about repeats, with those of the batches that were read before."""
        rules = [rule for rule in self.plan.of_kind("unique", "distinct_rows") if rule.id not in self.state.settled]
        if rules:
            folder = self.op.tempfile()
            folder.mkdir()
            self.hash_files = {
                rule.id: HashFile(folder / str(index), self._dtypes(rule)) for index, rule in enumerate(rules)
            }
            self._catch_up(self.state.batch)
        return self.hash_files

    def _dtypes(self, rule: Rule) -> list[Any]:
        return [self.plan.schema[name] for name in self.plan.key_columns(rule)]

    def settle(self) -> None:
        """One rule after another, with a checkpoint as often as in the reading."""
        self._catch_up(len(self.plan.batches))
        saved = time.monotonic()
        for rule in self.plan.rules:
            if rule.scope != "table" or rule.id in self.state.settled or rule.id in self.state.tally.errors:
                continue
            found = self._missing(rule) if rule.kind == "foreign_key" else self._repeats(rule)
            if found is not None:
                self.state.tally.add(rule.id, {"failed": found.count})
                self.findings.add(rule, found.rows, self._cells(rule, found.rows))
            self.state.settled.append(rule.id)
            if time.monotonic() - saved >= row_pass.CHECKPOINT_SECONDS:
                self.findings.checkpoint()
                saved = time.monotonic()
        self.findings.checkpoint()

    def _catch_up(self, until: int) -> None:
        """Hash the batches that this attempt did not read itself."""
        for rule in self.plan.of_kind("unique", "distinct_rows"):
            file = self.hash_files.get(rule.id)
            if file is None:
                continue
            for batch in self.plan.batches[file.batches : until]:
                self.op.check()
                frame = self.plan.read(batch, self.plan.key_columns(rule))
                file.add(self.plan.keys(rule, frame, batch.first_row))

    def _repeats(self, rule: Rule) -> Found:
        return repeats(self.hash_files[rule.id], lambda: self._checked(rule), self.findings.at_most, self.op.check)

    def _checked(self, rule: Rule) -> Iterator[Any]:
        for keys in self.plan.read_keys(rule):
            self.op.check()
            yield keys

    def _missing(self, rule: Rule) -> Found | None:
        """Of a large foreign key; None where the reading has settled it."""
        if rule.id in held_while_reading(self.plan.of_kind("foreign_key")):
            return None
        try:
            reference = Reference(rule, self.plan.schema, self.op.check)
        except Fail as gone:
            self.state.tally.fail(rule.id, str(gone))
            return None
        count = 0
        rows: list[int] = []
        for missing in reference.missing_by_bucket(lambda: self._reference_keys(reference)):
            count += len(missing)
            rows = nsmallest(self.findings.at_most, rows + missing.head(self.findings.at_most).to_list())
        return Found(count, rows)

    def _reference_keys(self, reference: Reference) -> Iterator[Any]:
        for batch in self.plan.batches:
            self.op.check()
            yield reference.keys(self.plan.read(batch, reference.rule.columns), batch.first_row)

    def _cells(self, rule: Rule, rows: list[int]) -> list[str]:
        """What stands in these rows: each batch that has some is read once more."""
        columns = self.plan.key_columns(rule)
        first_rows = [batch.first_row for batch in self.plan.batches]
        by_batch: dict[int, list[int]] = {}
        for row in rows:
            by_batch.setdefault(bisect_right(first_rows, row) - 1, []).append(row)
        texts: list[str] = []
        for index, own in by_batch.items():
            frame = self.plan.read(self.plan.batches[index], columns)
            texts += shown(frame, [row - first_rows[index] for row in own], columns)
        return texts
