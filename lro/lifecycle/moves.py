"""The one writer of `state`: a compare-and-set, its event, and what an ending means for the parent, in one transaction.

The fan-in is a decrement under the parent's row lock: of a thousand children that end at once exactly one finds that
it was the last. Locks are taken upward only, the child's first, so two endings can never wait for each other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from ..conf import conf
from ..events import journal, progress
from ..events.journal import Entry
from ..models import Attempt, Operation
from ..states import TERMINAL, State, sources
from .retries import Failure

RELEASED: dict[str, Any] = {"worker": "", "lease_expires_at": None, "attempt_ends_at": None, "stalls_at": None}
REVOKED: dict[str, Any] = {**RELEASED, "fence": F("fence") + 1}
CANCELLED = Failure("cancelled", "It was cancelled.", "user", is_retryable=True)
FAIL_PARENT = "fail_parent"
#: A larger family tells its parent's log of failed children only, and of whole percents.
_SMALL_FAMILY = 100


def enter(
    target: State, operation_id: UUID, entries: list[Entry], where: Q | None = None, **changes: Any
) -> Operation | None:
    """Move the operation to `target` where the table of moves and `where` allow it; None where they do not."""
    legal = Q(state__in=sources(target)) & (where or Q())
    kind, data = entries[-1]
    entries = [*entries[:-1], (kind, {**data, "state": target.value})]
    with transaction.atomic():
        operation = journal.append(operation_id, entries, where=legal, state=target, **changes)
        if operation is not None and operation.parent_id and target in TERMINAL:
            _tell_parent(operation)
        return operation


def enter_all(target: State, operation_ids: list[UUID], entry: Entry, where: Q, **changes: Any) -> list[Operation]:
    """As `enter`, for many whose rows this transaction has locked; not into an ending, which parents are told of."""
    kind, data = entry
    legal = Q(state__in=sources(target)) & where
    entry = kind, {**data, "state": target.value}
    return journal.append_all(operation_ids, entry, where=legal, state=target, **changes)


def ended() -> dict[str, Any]:
    retention = timedelta(days=conf().retention_days)
    return {**RELEASED, "finished_at": Now(), "expires_at": Now() + retention, "stop_requested_at": None}


def close_attempt(held: Operation, outcome: str, failure: Failure | None = None) -> None:
    Attempt.objects.filter(operation_id=held.pk, fence=held.fence).update(
        outcome=outcome,
        finished_at=Now(),
        error=failure.as_error(held.attempt) if failure else None,
        traceback=failure.traceback if failure else "",
    )


def _tell_parent(child: Operation) -> None:
    parent = Operation.objects.select_for_update().get(pk=child.parent_id)
    is_bad = child.state != State.SUCCEEDED
    parent.children_pending -= 1
    parent.children_failed += is_bad
    parent.children_weight_done += child.weight
    counts = {name: getattr(parent, name) for name in ("children_pending", "children_failed", "children_weight_done")}
    if parent.is_terminal:  # nothing comes after its last event
        Operation.objects.filter(pk=parent.pk).update(**counts)
        return
    entries = _news_of(child, parent)
    if parent.state != State.WAITING:
        journal.append(parent.pk, entries, **counts)
        return
    before, counts["progress"] = parent.progress, rolled_up(parent)
    if is_bad or _is_worth_telling(parent, before, counts["progress"]):
        entries.append(("progress", counts["progress"]))
    if is_bad and parent.on_child_failure == FAIL_PARENT:
        error = child_failed(child).as_error(parent.attempt)
        changes = {**ended(), **REVOKED, **counts, "error": error}
        enter(State.FAILED, parent.pk, [*entries, ("failed", {"error": error})], **changes)
    elif parent.children_pending == 0:
        enter(
            State.QUEUED,
            parent.pk,
            [*entries, ("step", {"message": "Its last child ended."})],
            run_at=Now(),
            woken_at=None,
            **counts,
        )
    else:
        journal.append(parent.pk, entries, **counts)


def child_failed(child: Operation) -> Failure:
    said = (child.error or {}).get("message", "") if child.state == State.FAILED else ""
    message = f"Its child {child.name} {child.pk} ended as {child.state}" + (f": {said}" if said else ".")
    return Failure("child_failed", message, "user", is_retryable=True, details=[{"child": str(child.pk)}])


def rolled_up(parent: Operation, under_way: float = 0.0) -> dict[str, Any]:
    """The parent's progress out of its children's; `under_way` is the weight done by those that still run."""
    done = parent.children_total - parent.children_pending
    share = (parent.children_weight_done + under_way) / (parent.children_weight or 1.0)
    return progress.of_children(parent.progress, done=done, total=parent.children_total, share=share)


def _news_of(child: Operation, parent: Operation) -> list[Entry]:
    if parent.children_total > _SMALL_FAMILY and child.state == State.SUCCEEDED:
        return []
    data = {"child": str(child.pk), "name": child.name, "outcome": child.state, "pending": parent.children_pending}
    return [("child.finished", data)]


def _is_worth_telling(parent: Operation, before: dict[str, Any], after: dict[str, Any]) -> bool:
    is_small = parent.children_total <= _SMALL_FAMILY
    return is_small or int(before.get("percent") or 0) != int(after["percent"]) or parent.children_pending == 0
