"""What a run has to do: the rules ready to be measured, the columns that they need, the batches to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lro import datasets

from . import batches
from .batches import Batch
from .checks import Check, compile_rules, schema_of
from .keys import keys_of
from .rule_documents import Rule, read_rules
from .tallies import Tally


@dataclass(frozen=True, slots=True)
class Plan:
    dataset: datasets.Dataset
    rules: list[Rule]
    checks: list[Check]
    schema: dict[str, Any]
    columns: list[str]
    batches: list[Batch]
    as_of: datetime

    @classmethod
    def of(cls, dataset: str, rules: list[dict[str, Any]], as_of: datetime) -> Plan:
        """Raises `Fail` where the dataset was deleted meanwhile."""
        table, read = datasets.load(dataset), read_rules(rules)
        schema = schema_of(table.columns)
        checks = compile_rules(read, schema, as_of)
        columns = _needed(checks, list(schema))
        parts = batches.batches_of(table.part_rows, len(columns))
        return cls(table, read, checks, schema, columns, parts, as_of)

    def of_kind(self, *kinds: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.kind in kinds]

    def read(self, batch: Batch, columns: Sequence[str] | None = None) -> Any:
        return batches.read(self.dataset, batch, self.columns if columns is None else columns)

    def key_columns(self, rule: Rule) -> list[str]:
        """By which a rule tells rows apart; all of them where it is about whole rows."""
        return list(rule.columns or self.schema)

    def keys(self, rule: Rule, frame: Any, first_row: int) -> Any:
        return keys_of(frame, self.key_columns(rule), first_row, keeps_nulls=rule.kind == "distinct_rows")

    def read_keys(self, rule: Rule, until: int | None = None) -> Iterator[Any]:
        """The keys of the rule, batch by batch."""
        columns = self.key_columns(rule)
        for batch in self.batches[:until]:
            yield self.keys(rule, self.read(batch, columns), batch.first_row)


def _needed(checks: list[Check], names: list[str]) -> list[str]:
    if any(check.rule.kind == "distinct_rows" for check in checks):
        return names
    shown = {name for check in checks for name in check.shown}
    return [name for name in names if name in shown] or names[:1]


@dataclass
class State:
    """What a checkpoint holds: how far the reading is, and what it found. Its size does not grow with the table."""

    batch: int = 0
    rows: int = 0
    tally: Tally = field(default_factory=Tally)
    sampled: dict[str, int] = field(default_factory=dict)  # how many violations of a rule are kept
    told: dict[str, int] = field(default_factory=dict)  # and how many were told live
    settled: list[str] = field(default_factory=list)  # rules that were decided after the reading
    is_gathered: bool = False
    is_reported: bool = False

    def to_json(self) -> dict[str, Any]:
        plain = {key: value for key, value in vars(self).items() if key != "tally"}
        return {**plain, "tally": self.tally.to_json()}

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> State:
        if stored is None:
            return cls()
        return cls(**{**stored, "tally": Tally.from_json(stored["tally"])})
