"""How far a run has come: the cursor of its checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

from .batches import Outcome

_SAMPLES = 10
_SAMPLE_BYTES = 2 * 1024
_TOO_LARGE = "It is too large to be shown."
_BUCKET_MS = 10


@dataclass(slots=True)
class StepState:
    name: str
    rows: int | None = None
    is_begun: bool = False
    #: The key of the last record that is done.
    after: str | None = None
    processed: int = 0
    changed: int = 0
    failed: int = 0
    seconds: float = 0.0
    written: dict[str, dict[str, int]] = field(default_factory=dict)
    is_done: bool = False

    def add(self, outcome: Outcome) -> None:
        self.processed += outcome.processed
        self.changed += outcome.changed
        self.failed += len(outcome.rejects)
        self.after = outcome.last
        for model, counts in outcome.written.items():
            self.written[model] = dict(Counter(self.written.get(model, {})) + counts)

    def report(self) -> dict[str, Any]:
        """As events and the result tell it; `rate` is records a second."""
        seconds = round(self.seconds, 3)
        return {
            "step": self.name,
            "processed": self.processed,
            "changed": self.changed,
            "skipped": max(0, self.processed - self.changed - self.failed),
            "failed": self.failed,
            "written": self.written,
            "seconds": seconds,
            "rate": round(self.processed / self.seconds, 1) if seconds else None,
        }


@dataclass(slots=True)
class State:
    steps: list[StepState]
    sample: list[dict[str, Any]] = field(default_factory=list)
    #: How many transactions took so many milliseconds, by their upper bound.
    transactions: dict[str, int] = field(default_factory=dict)
    #: By step, the keys between its shards.
    borders: dict[str, list[str]] = field(default_factory=dict)
    is_complete: bool = False

    @classmethod
    def from_cursor(cls, cursor: dict[str, Any]) -> State:
        return cls(**{**cursor, "steps": [StepState(**step) for step in cursor["steps"]]})

    def cursor(self) -> dict[str, Any]:
        return asdict(self)

    def timed(self, index: int, seconds: float) -> None:
        self.steps[index].seconds += seconds
        bucket = str((int(seconds * 1000) // _BUCKET_MS + 1) * _BUCKET_MS)
        self.transactions[bucket] = self.transactions.get(bucket, 0) + 1

    def sampled(self, step: str, outcome: Outcome) -> None:
        room = self.wanted_samples(step)
        self.sample += [{"step": step, **_shown(each)} for each in outcome.sample[:room]]

    def wanted_samples(self, step: str) -> int:
        return _SAMPLES - [each["step"] for each in self.sample].count(step)

    @property
    def processed(self) -> int:
        return int(sum(step.processed for step in self.steps))

    @property
    def failed(self) -> int:
        return sum(step.failed for step in self.steps)

    def total(self) -> int | None:
        """Of all steps; None while one is not counted."""
        counts = [step.rows for step in self.steps]
        return None if None in counts else sum(int(count or 0) for count in counts)


def _shown(sample: dict[str, Any]) -> dict[str, Any]:
    """A cursor has room for small records only."""
    sample = _fit(sample)
    if len(json.dumps(sample)) <= _SAMPLE_BYTES:
        return sample
    return {"key": sample["key"][:_SAMPLE_BYTES], "before": _TOO_LARGE, "after": _TOO_LARGE}


def _fit(value: Any) -> Any:
    """As JSON data; as text what JSON, or a database's column of it, does not hold."""
    if isinstance(value, dict):
        return {_fit(str(name)): _fit(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_fit(each) for each in value]
    if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    return str(value).replace("\0", "\ufffd")


def percentile(transactions: dict[str, int], share: float) -> int | None:
    """The milliseconds that no more than `1 - share` of the transactions exceeded."""
    total, seen = sum(transactions.values()), 0
    for bucket in sorted(transactions, key=int):
        seen += transactions[bucket]
        if seen >= share * total:
            return int(bucket)
    return None


def added(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The reports of a step's shards as one."""
    total = dict(reports[0])
    for report in reports[1:]:
        for name in ("processed", "changed", "skipped", "failed"):
            total[name] += report[name]
        total["seconds"] = max(total["seconds"], report["seconds"])
        for model, counts in report["written"].items():
            total["written"] = {
                **total["written"],
                model: dict(Counter(total["written"].get(model, {})) + Counter(counts)),
            }
    total["rate"] = round(total["processed"] / total["seconds"], 1) if total["seconds"] else None
    return total
