"""What may happen to an operation, a function each.

Each function is one compare-and-set in one transaction with the event that tells of it, and returns the operation as
it is afterwards, or None where somebody else was quicker. A worker passes the fence that it claimed with: it is the
right one in a held state only, and from there the table of moves says the rest.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from ..conf import conf
from ..events import journal
from ..events.journal import Entry
from ..exceptions import AlreadyActive, LeaseLost, NotAllowedNow
from ..models import Attempt, Operation, Reject
from ..states import PARKED, State
from . import removal, retries
from .leases import claimable, held_by
from .moves import CANCELLED, FAIL_PARENT, REVOKED, close_attempt, ended, enter
from .retries import Failure

# Submission and claim


def submit(operation: Operation, data: dict[str, Any]) -> None:
    """Insert a new operation with its first event. Raises IntegrityError for a repeated idempotency key."""
    with transaction.atomic():
        operation.state, operation.woken_at = State.QUEUED, Now()
        journal.begin(operation, [("created", {**data, "state": State.QUEUED.value})])


def spawn(held: Operation, children: list[Operation]) -> None:
    """Insert children of a held operation, and count them, in one transaction. Raises `LeaseLost`."""
    if not children:
        return
    name, count = children[0].name, len(children)
    with transaction.atomic():
        parent = journal.append(
            held.pk,
            [("child.created", {"name": name, "count": count})],
            where=held_by(held.fence),
            children_total=F("children_total") + count,
            children_pending=F("children_pending") + count,
            children_weight=F("children_weight") + sum(child.weight for child in children),
        )
        if parent is None:
            raise LeaseLost
        for index, child in enumerate(children, start=parent.children_total - count):
            child.child_index, child.state, child.woken_at = index, State.QUEUED, Now()
        journal.begin_all(children, "created", {"name": name, "state": State.QUEUED.value})


def claim(operation_id: UUID, worker: str) -> Operation | None:
    """Take a due, queued operation; None where there is none, which is no error: someone else has it."""
    try:
        return _claim(operation_id, worker)
    except IntegrityError:  # another one took the resource at the same instant
        return None


def _claim(operation_id: UUID, worker: str) -> Operation | None:
    lease = timedelta(seconds=conf().lease_seconds)
    with transaction.atomic():
        operation = enter(
            State.RUNNING,
            operation_id,
            [("started", {"worker": worker})],
            claimable(),
            fence=F("fence") + 1,
            attempt=F("attempt") + 1,
            worker=worker,
            lease_expires_at=Now() + lease,
            attempt_ends_at=Now() + F("attempt_timeout"),
            stalls_at=Now() + F("max_stall"),
            on_child_failure="",
            started_at=Coalesce("started_at", Now()),
            error=None,
        )
        if operation is not None:
            Attempt.objects.create(
                operation_id=operation_id, number=operation.attempt, fence=operation.fence, worker=worker
            )
    return operation


# What a worker says of its own attempt


def succeed(held: Operation, result: Any, entries: list[Entry], **changes: Any) -> Operation | None:
    with transaction.atomic():
        operation = enter(
            State.SUCCEEDED,
            held.pk,
            [*entries, ("succeeded", {})],
            Q(fence=held.fence),
            **{**ended(), "result": result, "error": None, **changes},
        )
        if operation is not None:
            close_attempt(held, "succeeded")
    return operation


def fail(held: Operation, failure: Failure, *, outcome: str = "failed", **changes: Any) -> Operation | None:
    error = failure.as_error(held.attempt)
    with transaction.atomic():
        operation = enter(
            State.FAILED,
            held.pk,
            [("failed", {"error": error})],
            Q(fence=held.fence),
            **{**ended(), **REVOKED, "error": error, "failures": F("failures") + 1, **changes},
        )
        if operation is not None:
            close_attempt(held, outcome, failure)
    return operation


def retry(
    held: Operation, failure: Failure, delay: timedelta, *, outcome: str = "failed", **changes: Any
) -> Operation | None:
    """End this attempt and try again after `delay`."""
    data = {"error": failure.as_error(held.attempt), "delay_seconds": round(delay.total_seconds(), 3)}
    with transaction.atomic():
        operation = enter(
            State.RETRYING,
            held.pk,
            [("retry.scheduled", data)],
            Q(fence=held.fence),
            **REVOKED,
            run_at=Now() + delay,
            failures=F("failures") + 1,
            **changes,
        )
        if operation is not None:
            close_attempt(held, outcome, failure)
    return operation


def end_badly(held: Operation, failure: Failure, *, outcome: str = "failed", **changes: Any) -> Operation | None:
    """Retry or fail, as the failure and the attempts that are left decide. A request to stop comes first."""
    if (stopped := stop(held)) is not None:
        return stopped
    failures = Operation.objects.filter(pk=held.pk).values_list("failures", flat=True).first() or 0
    if failure.is_retryable and failures + 1 < held.max_attempts:
        settings = conf()
        delay = failure.after
        if delay is None:
            delay = retries.backoff(failures, base=settings.retry_base_seconds, cap=settings.retry_cap_seconds)
        ended = retry(held, failure, delay, outcome=outcome, **changes)
    else:
        ended = fail(held, failure, outcome=outcome, **changes)
    return ended or stop(held)


def wait(held: Operation, on_failure: str) -> Operation | None:
    """End this attempt until the last child has ended, or fails it; queued again at once where one just has."""
    waited = {**REVOKED, "failures": 0, "crashes": 0}
    entries: list[Entry] = [("step", {"message": "It waits for its children."})]
    with transaction.atomic():
        operation = enter(
            State.WAITING,
            held.pk,
            entries,
            Q(fence=held.fence, children_pending__gt=0) & ~_is_failed_by_a_child(on_failure),
            **waited,
            on_child_failure=on_failure,
        ) or enter(
            State.QUEUED,
            held.pk,
            entries,
            Q(fence=held.fence),
            **waited,
            run_at=Now(),
            woken_at=None,
        )
        if operation is not None:
            close_attempt(held, "waiting")
    return operation or stop(held)


def stop(held: Operation) -> Operation | None:
    """Finish a cancel or a pause that was asked for; None where nobody asked."""
    with transaction.atomic():
        operation = enter(
            State.CANCELLED,
            held.pk,
            [("cancelled", {})],
            Q(fence=held.fence),
            **{**ended(), **REVOKED, "error": CANCELLED.as_error(held.attempt)},
        ) or enter(
            State.PAUSED,
            held.pk,
            [("paused", {})],
            Q(fence=held.fence),
            **REVOKED,
            stop_requested_at=None,
        )
        if operation is not None:
            close_attempt(held, operation.state)
    return operation


def release(held: Operation, reason: str, *, after: timedelta = timedelta(), **changes: Any) -> Operation | None:
    """Give the operation back unharmed, as at a deploy or to go on later: it counts as no failure."""
    data = {"reason": reason, "delay_seconds": round(after.total_seconds(), 3)}
    with transaction.atomic():
        operation = enter(
            State.QUEUED,
            held.pk,
            [("interrupted", data)],
            Q(fence=held.fence),
            **REVOKED,
            run_at=Now() + after,
            woken_at=None,
            **changes,
        )
        if operation is not None:
            close_attempt(held, "interrupted")
    return operation


# What people ask for

_FRESH: dict[str, Any] = {
    "checkpoint": None,
    "checkpoints": 0,
    "progress": {},
    "rejected": 0,
    "children_total": 0,
    "children_pending": 0,
    "children_failed": 0,
    "children_weight": 0.0,
    "children_weight_done": 0.0,
}


def cancel(operation_id: UUID, by: str) -> Operation:
    """Cancel now what no worker holds; ask the worker of what one holds. Asking again is harmless."""
    asked: Entry = ("cancel.requested", {"by": by})
    operation = enter(
        State.CANCELLED,
        operation_id,
        [asked, ("cancelled", {})],
        Q(state__in=PARKED),
        **{**ended(), **REVOKED, "error": CANCELLED.as_error(0)},
    ) or enter(State.CANCELLING, operation_id, [asked], stop_requested_at=Now())
    return operation or _already(operation_id, {State.CANCELLING, State.CANCELLED}, "cancelled")


def pause(operation_id: UUID, by: str) -> Operation:
    operation = enter(
        State.PAUSED,
        operation_id,
        [("paused", {"by": by})],
        Q(state__in=[State.QUEUED, State.RETRYING, State.WAITING]),
        **REVOKED,
    ) or enter(
        State.PAUSING,
        operation_id,
        [("step", {"message": "A pause was asked for.", "by": by})],
        stop_requested_at=Now(),
    )
    return operation or _already(operation_id, {State.PAUSING, State.PAUSED}, "paused")


def resume(operation_id: UUID, by: str) -> Operation:
    entry: Entry = ("resumed", {"by": by})
    operation = enter(State.WAITING, operation_id, [entry], WAITS) or enter(
        State.QUEUED, operation_id, [entry], Q(state=State.PAUSED), **resumed()
    )
    return operation or _already(operation_id, {State.QUEUED, State.RUNNING, State.WAITING}, "resumed")


def _is_failed_by_a_child(on_failure: str) -> Q:
    """It need not wait for the others: the next attempt finds the one that failed."""
    return Q(children_failed__gt=0) if on_failure == FAIL_PARENT else Q(pk=None)


#: What is paused and goes on to wait for its children.
WAITS = (
    Q(state=State.PAUSED, children_pending__gt=0)
    & ~Q(on_child_failure="")
    & ~Q(on_child_failure=FAIL_PARENT, children_failed__gt=0)
)


def resumed() -> dict[str, Any]:
    """The columns of what is queued by it; no worker could claim it in time while it was paused."""
    return {"run_at": Now(), "woken_at": Now(), "claim_by": None}


def retry_by_hand(operation_id: UUID, by: str, *, from_start: bool) -> Operation:
    """A new attempt of what failed or was cancelled, from its checkpoint or from the start."""
    try:
        return _retry_by_hand(operation_id, by, from_start=from_start)
    except IntegrityError as error:
        raise AlreadyActive from error


def retried(by: str, *, from_start: bool = False) -> tuple[Entry, dict[str, Any]]:
    """The event of a retry by hand, and the columns."""
    changes: dict[str, Any] = {
        "run_at": Now(),
        "woken_at": Now(),
        "failures": 0,
        "crashes": 0,
        "claim_by": None,
        "deadline_at": None,
        "result": None,
        "error": None,
        "finished_at": None,
        "expires_at": None,
        "fence": F("fence") + 1,
        **(_FRESH if from_start else {}),
    }
    return ("retry.scheduled", {"by": by, "from": "start" if from_start else "checkpoint"}), changes


def _retry_by_hand(operation_id: UUID, by: str, *, from_start: bool) -> Operation:
    entry, changes = retried(by, from_start=from_start)
    with transaction.atomic():
        operation = enter(State.QUEUED, operation_id, [entry], Q(state__in=[State.FAILED, State.CANCELLED]), **changes)
        if operation is not None:
            _reopen(operation, from_start=from_start)
    return operation or _already(operation_id, {State.QUEUED}, "retried")


def _reopen(operation: Operation, *, from_start: bool) -> None:
    """Its parent counts it again; from the start, it has neither rejects nor children any more."""
    if operation.parent_id:
        count_again(operation.parent_id, [operation.weight])
    if from_start:
        Reject.objects.filter(operation_id=operation.pk).delete()
        if removal.remove(operation.children.values_list("pk", flat=True)) is None:
            raise NotAllowedNow("Some of its children are still at work; try again when they have ended.")


def count_again(parent_id: UUID, weights: list[float]) -> None:
    """Of its children as many as have these weights had ended badly, and are at work again."""
    Operation.objects.filter(pk=parent_id).update(
        children_pending=F("children_pending") + len(weights),
        children_failed=F("children_failed") - len(weights),
        children_weight_done=F("children_weight_done") - sum(weights),
    )


def _already(operation_id: UUID, harmless: set[State], verb: str) -> Operation:
    operation = Operation.objects.get(pk=operation_id)
    if operation.state in harmless:
        return operation
    raise NotAllowedNow(f"The operation is {operation.state}, so it cannot be {verb}.")


# What the reconciler does


def rescue(operation: Operation, failure: Failure) -> Operation | None:
    """Take an operation back from a worker that is gone: it goes on elsewhere from its checkpoint.

    The first time at once, as the operation did nothing wrong; if it is what kills its workers, the next will show it.
    """
    crashes = 1 + (Operation.objects.filter(pk=operation.pk).values_list("crashes", flat=True).first() or 0)
    if crashes >= conf().max_crashes:
        failure = retries.quarantined(crashes, operation.worker, operation.progress)
    elif crashes == 1:
        failure = replace(failure, after=timedelta())
    return end_badly(operation, failure, outcome="lost", crashes=crashes)


def expire(operation: Operation, failure: Failure) -> Operation | None:
    """End what ran out of its time, whoever holds it."""
    error = {**failure.as_error(operation.attempt), "retryable": False}
    with transaction.atomic():
        expired = enter(
            State.EXPIRED,
            operation.pk,
            [("expired", {"error": error})],
            Q(fence=operation.fence, state=operation.state),
            **{**ended(), **REVOKED, "error": error},
        )
        if expired is not None:
            close_attempt(operation, "expired", failure)
    return expired


def requeue(operation_id: UUID) -> Operation | None:
    """Queue an operation whose back-off is over."""
    return enter(
        State.QUEUED,
        operation_id,
        [("step", {"message": "The back-off is over."})],
        Q(state=State.RETRYING, run_at__lte=Now()),
        woken_at=Now(),
    )


def join(operation_id: UUID) -> Operation | None:
    """Queue a parent none of whose children is at work any more."""
    return enter(
        State.QUEUED,
        operation_id,
        [("step", {"message": "Its children have ended."})],
        Q(state=State.WAITING),
        run_at=Now(),
        woken_at=None,
        children_pending=0,
    )
