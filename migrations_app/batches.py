"""Some records of a step: processed together, alone where that fails, and written in a few statements."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django.db.models import Model, QuerySet

from lro import Fail, Interrupted, RejectItem, Retry, Snooze

from . import images, matching, writing
from .declaration import Step
from .sources import Taken
from .tracking import Change, Tracker

#: They end the attempt or repeat the transaction, and are no record's fault.
NOT_OURS = (Fail, Interrupted, Retry, Snooze, OperationalError, InterfaceError)


class Alone(Exception):
    """A record failed after something was written for the batch: each has to be tried by itself."""


@dataclass(slots=True)
class Outcome:
    """What came of some records, of which those after `last` were not come to."""

    processed: int = 0
    changed: int = 0
    last: str | None = None
    #: Key, code, message and column of each that failed.
    rejects: list[tuple[str, str, str, str]] = field(default_factory=list)
    #: By model, how many rows were inserted, updated, deleted.
    written: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    images: list[dict[str, Any]] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.processed += other.processed
        self.changed += other.changed
        self.last = other.last
        self.rejects += other.rejects
        self.images += other.images
        self.sample += other.sample
        for model, counts in other.written.items():
            self.written[model].update(counts)


class Batch:
    """One try of some records. The step's verbs act on it."""

    def __init__(self, step: Step, *, is_reverse: bool = False, keeps_images: bool = False, samples: int = 0) -> None:
        self._step, self._is_reverse, self._keeps_images, self._samples = step, is_reverse, keeps_images, samples
        step._batch = self
        self._tracker, self._rejects = Tracker(), dict[int, tuple[str, str, str]]()
        self._touched, self._deleted = set[int](), set[int]()
        self._writes = 0
        self.outcome = Outcome()

    def run(self, taken: Taken, deadline: float) -> Outcome:
        """Within a transaction. Raises `Alone`, `Stale` and whatever the author's code or the database raises."""
        records, is_table = taken.records, taken.befores is None
        if not is_table:
            self._tracker.track(records, taken.befores)
        firsts = zip(taken.keys[: self._samples], records, strict=False)
        before = [(key, record, self._described(record)) for key, record in firsts]
        with self._watched():
            done = self._process(records, deadline)
        self._dismiss(records[done:])
        self._flush(records)
        connection.check_constraints()  # what a commit would refuse
        self._count(taken.keys[:done], records, is_table)
        self.outcome.sample = [self._sampled(*shown) for shown in before[:done] if id(shown[1]) not in self._rejects]
        return self.outcome

    def _process(self, records: list[Any], deadline: float) -> int:
        """How many were processed: all, unless they are processed one by one and the time is over."""
        step = self._step
        one, many = ("reverse", "reverse_batch") if self._is_reverse else ("process", "process_batch")
        if getattr(type(step), many) is not getattr(Step, many):
            getattr(step, many)(records)
            return len(records)
        process = getattr(step, one)
        for index, record in enumerate(records):
            writes = self._writes
            try:
                process(record)
            except NOT_OURS:
                raise
            except Exception as error:
                if self._writes != writes or len(records) == 1:
                    raise Alone from error
                self._rejects[id(record)] = reason_of(error)
            if not index & 15 and time.monotonic() > deadline:
                return index + 1
        return len(records)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            self._writes += sql.lstrip()[:6].upper() != "SELECT"
            return execute(sql, params, many, context)

        with connection.execute_wrapper(watch):
            yield

    def _dismiss(self, records: Sequence[Any]) -> None:
        for record in records:
            self._rejects[id(record)] = ("", "", "")

    def _count(self, keys: Sequence[str], records: Sequence[Any], is_table: bool) -> None:
        outcome = self.outcome
        outcome.processed = len(keys)
        outcome.last = keys[-1] if keys else None
        for key, record in zip(keys, records, strict=False) if self._rejects else ():
            if id(record) in self._rejects:
                outcome.rejects.append((key, *self._rejects[id(record)]))
        if is_table:
            written = sum(sum(counts.values()) for counts in outcome.written.values())
            outcome.changed = min(written, len(keys) - len(outcome.rejects))
        else:
            outcome.changed = len(self._touched)

    # What a dry run shows

    def _described(self, record: Any) -> Any:
        described = self._step.describe(record)
        if described is None:
            described = _plain(record)
        return dict(described) if isinstance(described, dict) else described

    def _sampled(self, key: str, record: Any, before: Any) -> dict[str, Any]:
        after = self._described(record)
        if self._step.describe(record) is None and isinstance(before, dict) and not isinstance(record, dict):
            names = [name for name in after if after[name] is not before[name] and after[name] != before[name]]
            before, after = ({name: side[name] for name in names} for side in (before, after))
        return {"key": key, "before": before, "after": after}

    # The step's verbs

    def reject(self, record: Any, code: str, message: str, *, column: str = "") -> None:
        self._rejects[id(record)] = (code[:60], message[:2_000], column)

    def fetch(self, rows: QuerySet[Any]) -> list[Any]:
        self._writes += 1  # where the record fails, what was changed of them is taken back as well
        return [self._tracker.known(row) for row in rows]

    def save(self, records: Sequence[Model], names: list[str]) -> int:
        """The rows are read as they are stored now, and written where they differ."""
        if not records:
            return 0
        stored = {
            row.pk: row for row in self.fetch(type(records[0])._base_manager.filter(pk__in=[r.pk for r in records]))
        }
        return sum(matching.assign(stored[record.pk], record, names) for record in records if record.pk in stored)

    def insert(self, rows: Sequence[Model], *, may_be_late: bool = False) -> None:
        if rows:
            writing.insert(rows, may_be_late=may_be_late)
            model, keys = type(rows[0]), [row.pk for row in rows]
            self._note(images.INSERTED, model, keys)
            self._keep(lambda: images.of_inserted(model, keys))

    def upsert(self, rows: Sequence[Model], key: list[str], names: list[str]) -> list[Any]:
        if not rows:
            return []
        wanted = {matching.key_of(row, key): row for row in rows}
        found = matching.by_key(type(rows[0]), key, list(wanted))
        stored = {matching.key_of(row, key): row for some in found for row in self.fetch(some)}
        for value, row in wanted.items():
            if value in stored:
                matching.assign(stored[value], row, names)
        fresh = [row for value, row in wanted.items() if value not in stored]
        self.insert(fresh, may_be_late=True)
        return [stored.get(value := matching.key_of(row, key), wanted[value]) for row in rows]

    def delete(self, rows: Sequence[Model]) -> None:
        if not rows:
            return
        self._deleted.update(id(row) for row in rows)
        model, keys = type(rows[0]), {row.pk: None for row in rows}
        self._keep(lambda: images.of_deleted(model, list(keys)))
        if writing.delete(model, list(keys)) != len(keys):
            raise writing.Stale("It was deleted by somebody else meanwhile.")
        self._note(images.DELETED, model, keys)

    # What is written

    def _flush(self, records: Sequence[Any]) -> None:
        for change in self._tracker.changes(self._deleted | self._rejects.keys()):
            self._update(change)
            self._touched.update(map(id, change.records))
        self._touched = (self._touched | self._deleted) & set(map(id, records))

    def _update(self, change: Change) -> None:
        if change.model._meta.pk.attname in change.names:
            raise TypeError(f"The key of {change.records[0]!r} was changed.")
        written = writing.update(change.model, change.names, change.keys, change.new, change.old)
        if written != len(change.keys):
            raise writing.Stale("It was changed or deleted by somebody else meanwhile.")
        self._note(images.UPDATED, change.model, change.keys)
        columns = (change.names, change.keys, change.old, change.new)
        self._keep(lambda: images.image(images.UPDATED, change.model, *columns))

    def _note(self, kind: str, model: type[Model], keys: Collection[Any]) -> None:
        self.outcome.written[model._meta.label_lower][kind] += len(keys)

    def _keep(self, image: Callable[[], dict[str, Any]]) -> None:
        if self._keeps_images:
            self.outcome.images.append(image())


def _plain(record: Any) -> dict[str, Any]:
    """The loaded values of a record, fit for JSON."""
    plain = (str, int, float, bool, list, dict, type(None))
    values = record if isinstance(record, dict) else record.__dict__
    shown = {name: value for name, value in values.items() if not name.startswith("_")}
    return {name: value if isinstance(value, plain) else str(value) for name, value in shown.items()}


def reason_of(error: Exception) -> tuple[str, str, str]:
    """Code, message and column."""
    if isinstance(error, RejectItem):
        return error.code, error.message, error.column
    if isinstance(error, writing.Stale):
        return "changed_meanwhile", str(error), ""
    code = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(error).__name__).lstrip("_")
    return code[:60], (str(error) or type(error).__name__)[:2_000], ""
