"""What must always hold of the stored operations, whatever happened to them."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from django.core.files.storage import Storage, default_storage
from django.db.models import Count

from ..models import Artifact, Attempt, Event, Operation, Reject, Resource
from ..states import HELD, TERMINAL, State, is_legal

TERMINAL_KINDS = {"succeeded", "failed", "cancelled", "expired"}


def assert_consistent(using: str = "default", *, is_drained: bool = False, files: Storage = default_storage) -> None:
    """Raise AssertionError with every violated invariant of the stored operations, and of their `files`.

    With `is_drained`, nothing may be held or queued any more either. Let the reconciler have its turn before.
    """
    violations = list(violations_of(using, is_drained=is_drained, files=files))
    assert not violations, "\n".join(violations)


def violations_of(
    using: str = "default", *, is_drained: bool = False, files: Storage = default_storage
) -> Iterator[str]:
    for resource in Resource.objects.using(using).over().filter(tries=0):
        yield f"{resource} of {resource.operation_id or 'no operation'}: it is left behind"
    for artifact in Artifact.objects.using(using).iterator(chunk_size=_BATCH):
        yield from _artifact(artifact, files)
    rows = Operation.objects.using(using).order_by("pk").iterator(chunk_size=_BATCH)
    while batch := list(itertools.islice(rows, _BATCH)):
        facts = _Facts(batch, using)
        for operation in batch:
            label = f"{operation.name} {operation.pk} ({operation.state})"
            for violation in (found for check in _CHECKS for found in check(operation, facts)):
                yield f"{label}: {violation}"
            if is_drained and operation.state not in TERMINAL | {"paused"}:
                yield f"{label}: it should have ended"


class _Facts:
    """What the other tables say of some operations, read in one query each."""

    def __init__(self, operations: list[Operation], using: str) -> None:
        mine = {"operation__in": operations}
        events = Event.objects.using(using).filter(**mine).order_by("sequence")
        attempts = Attempt.objects.using(using).filter(**mine).order_by("fence")
        children = Operation.objects.using(using).filter(parent__in=operations)
        self.events = _grouped(events.values_list("operation_id", "sequence", "kind"))
        self.states = _grouped(events.filter(data__has_key="state").values_list("operation_id", "data__state"))
        self.attempts = _grouped(attempts.values_list("operation_id", "fence", "outcome"))
        self.children = _grouped(children.values_list("parent_id", "state"))
        rejects = Reject.objects.using(using).filter(**mine).order_by().values("operation_id")
        self.rejects = dict(rejects.annotate(count=Count("pk")).values_list("operation_id", "count"))


def _grouped(rows: Iterable[tuple[Any, ...]]) -> dict[Any, list[tuple[Any, ...]]]:
    groups: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    for key, *values in rows:
        groups[key].append(tuple(values))
    return groups


def _artifact(artifact: Artifact, files: Storage) -> Iterator[str]:
    label, name = f"artifact {artifact.name} of {artifact.operation_id}", str(artifact.file.name)
    if not files.exists(name):
        yield f"{label}: it has no file"
        return
    with files.open(name) as file:
        if (artifact.size, artifact.sha256) != (file.size, hashlib.file_digest(file, "sha256").hexdigest()):
            yield f"{label}: its file is not the one that was stored"


def _sequence(operation: Operation, facts: _Facts) -> Iterator[str]:
    numbers = [sequence for sequence, _ in facts.events[operation.pk]]
    if numbers != list(range(1, operation.last_sequence + 1)):
        yield f"its sequences are not 1 to {operation.last_sequence}: {numbers[:20]}…"


def _moves(operation: Operation, facts: _Facts) -> Iterator[str]:
    states = [State(state) for (state,) in facts.states[operation.pk]]
    if states[:1] != [State.QUEUED] or states[-1] != operation.state:
        yield f"its events tell of the states {states}"
    for source, target in pairwise(states):
        if not is_legal(source, target):
            yield f"it went from {source} to {target}"


def _endings(operation: Operation, facts: _Facts) -> Iterator[str]:
    kinds = [kind for _, kind in facts.events[operation.pk]]
    if bool(kinds and kinds[-1] in TERMINAL_KINDS) != operation.is_terminal:
        yield f"its last event is {kinds[-1:]}"
    for kind, following in pairwise(kinds):
        if kind in TERMINAL_KINDS and following != "retry.scheduled":
            yield f"after it had ended ({kind}) came {following}"


def _outcome(operation: Operation, facts: _Facts) -> Iterator[str]:
    if operation.state == "failed" and not operation.error:
        yield "it failed without an error"
    if operation.state == "succeeded" and operation.error:
        yield "it succeeded with an error"
    if operation.is_terminal and operation.state != "succeeded" and not operation.error:
        yield "it ended without a result and without an error"
    if operation.is_terminal != (operation.finished_at is not None):
        yield "finished_at does not fit its state"


def _lease(operation: Operation, facts: _Facts) -> Iterator[str]:
    if (operation.state in HELD) != (operation.lease_expires_at is not None and operation.worker != ""):
        yield "its lease does not fit its state"


def _rejects(operation: Operation, facts: _Facts) -> Iterator[str]:
    if (count := facts.rejects.get(operation.pk, 0)) != operation.rejected:
        yield f"it counts {operation.rejected} rejects and has {count}"


def _children(operation: Operation, facts: _Facts) -> Iterator[str]:
    states = [state for (state,) in facts.children[operation.pk]]
    counted = (operation.children_total, operation.children_pending, operation.children_failed)
    pending = sum(state not in TERMINAL for state in states)
    failed = sum(state in TERMINAL and state != "succeeded" for state in states)
    if counted != (found := (len(states), pending, failed)):
        yield f"it counts {counted} children (all, pending, failed) and has {found}"
    if operation.state == "waiting" and not pending:
        yield "it waits for children that have ended"


def _attempts(operation: Operation, facts: _Facts) -> Iterator[str]:
    attempts = facts.attempts[operation.pk]
    if len(attempts) != operation.attempt:
        yield f"it counts {operation.attempt} attempts and has {len(attempts)}"
    open_ones = sum(outcome == "" for _, outcome in attempts)
    if open_ones != (1 if operation.state in HELD else 0):
        yield f"{open_ones} of its attempts are open"
    if attempts and attempts[-1][0] > operation.fence:
        yield "its fence is behind an attempt"


_BATCH = 500
_CHECKS = (_sequence, _moves, _endings, _outcome, _lease, _rejects, _children, _attempts)
