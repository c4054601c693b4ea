"""For the tests of `lro` and of host projects: run an operation here and now, and check what must always hold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from django.db.models import Max

from .models import Event, Operation
from .runtime import executor, submission
from .states import HELD, TERMINAL

TERMINAL_KINDS = {"succeeded", "failed", "cancelled", "expired"}


def run_operation(name: str, data: dict[str, Any], owner: Any) -> Operation:
    """Submit and execute in this process, without a broker, until no attempt is due; the operation as it ended."""
    operation = submission.submit(name, data, owner).operation
    executor.execute(operation.pk)
    operation.refresh_from_db()
    return operation


def assert_consistent(using: str = "default", *, is_drained: bool = False) -> None:
    """Raise AssertionError with every violated invariant of the stored operations.

    With `is_drained`, nothing may be held or queued any more either.
    """
    violations = list(violations_of(using, is_drained=is_drained))
    assert not violations, "\n".join(violations)


def violations_of(using: str = "default", *, is_drained: bool = False) -> Iterator[str]:
    for operation in Operation.objects.using(using).all():
        label = f"{operation.name} {operation.pk} ({operation.state})"
        checks = (_sequence, _endings, _outcome, _lease, _rejects, _children, _attempts)
        for violation in (found for check in checks for found in check(operation, using)):
            yield f"{label}: {violation}"
        if is_drained and operation.state not in TERMINAL | {"paused"}:
            yield f"{label}: it should have ended"


def _sequence(operation: Operation, using: str) -> Iterator[str]:
    numbers = list(Event.objects.using(using).filter(operation=operation).values_list("sequence", flat=True))
    if numbers != list(range(1, operation.last_sequence + 1)):
        yield f"its sequences are not 1 to {operation.last_sequence}: {numbers[:20]}…"


def _endings(operation: Operation, using: str) -> Iterator[str]:
    kinds = list(operation.events.using(using).values_list("kind", flat=True))
    if (kinds[-1:] and kinds[-1] in TERMINAL_KINDS) != operation.is_terminal:
        yield f"its last event is {kinds[-1:]}"
    for kind, following in pairwise(kinds):
        if kind in TERMINAL_KINDS and following != "retry.scheduled":
            yield f"after it had ended ({kind}) came {following}"


def _outcome(operation: Operation, using: str) -> Iterator[str]:
    if operation.state == "failed" and not operation.error:
        yield "it failed without an error"
    if operation.state == "succeeded" and operation.error:
        yield "it succeeded with an error"
    if operation.is_terminal and operation.state != "succeeded" and not operation.error:
        yield "it ended without a result and without an error"
    if operation.is_terminal != (operation.finished_at is not None):
        yield "finished_at does not fit its state"


def _lease(operation: Operation, using: str) -> Iterator[str]:
    if (operation.state in HELD) != (operation.lease_expires_at is not None and operation.worker != ""):
        yield "its lease does not fit its state"


def _rejects(operation: Operation, using: str) -> Iterator[str]:
    if (count := operation.rejects.using(using).count()) != operation.rejected:
        yield f"it counts {operation.rejected} rejects and has {count}"


def _children(operation: Operation, using: str) -> Iterator[str]:
    children = Operation.objects.using(using).filter(parent_id=operation.pk)
    states = list(children.values_list("state", flat=True))
    counted = (operation.children_total, operation.children_pending, operation.children_failed)
    pending = sum(state not in TERMINAL for state in states)
    failed = sum(state in TERMINAL and state != "succeeded" for state in states)
    if counted != (found := (len(states), pending, failed)):
        yield f"it counts {counted} children (all, pending, failed) and has {found}"
    if operation.state == "waiting" and not pending:
        yield "it waits for children that have ended"


def _attempts(operation: Operation, using: str) -> Iterator[str]:
    attempts = operation.attempts.using(using)
    if attempts.count() != operation.attempt:
        yield f"it counts {operation.attempt} attempts and has {attempts.count()}"
    open_ones = attempts.filter(outcome="").count()
    if open_ones != (1 if operation.state in HELD else 0):
        yield f"{open_ones} of its attempts are open"
    newest = attempts.aggregate(newest=Max("fence"))["newest"] or 0
    if newest > operation.fence:
        yield "its fence is behind an attempt"
