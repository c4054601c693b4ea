"""Operations each column of which has been used, and what a move changes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from lro.lifecycle import retries
from lro.models import Attempt, Operation
from lro.states import State

BROKEN = retries.Failure(
    "broken", "It broke.", "user", is_retryable=True, details=[{"place": 1}], traceback="where it broke"
)


@dataclass(frozen=True)
class In:
    """A time so many seconds from now."""

    seconds: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, datetime) and abs((other - timezone.now()).total_seconds() - self.seconds) < 5


NOW = In(0)


def worn(owner: Any, state: State = State.RUNNING, **columns: Any) -> Operation:
    """An operation in its third attempt, each column of which has been used."""
    now = timezone.now()
    used = {name: now + timedelta(seconds=1000) for name in ("deadline_at", "claim_by", "lease_expires_at")}
    used |= {name: now + timedelta(seconds=2000) for name in ("attempt_ends_at", "stalls_at")}
    used |= {name: now - timedelta(seconds=1000) for name in ("run_at", "woken_at", "started_at", "stop_requested_at")}
    used |= {name: now - timedelta(seconds=2000) for name in ("finished_at", "expires_at")}
    family = {"total": 5, "pending": 2, "failed": 1, "weight": 10.0, "weight_done": 4.0}
    operation = Operation(
        name="probe.counts", owner=owner, state=state, attempt=3, fence=7, worker="w.1/1/1", failures=1, crashes=1,
        checkpoint={"at": 3}, checkpoints=4, progress={"percent": 40.0}, rejected=2, result={"old": 1},
        error={"old": 1}, on_child_failure="collect", attempt_timeout=timedelta(seconds=60),
        max_stall=timedelta(seconds=30), last_sequence=9,
    )  # fmt: skip
    for name, value in {**used, **{f"children_{name}": value for name, value in family.items()}, **columns}.items():
        setattr(operation, name, value)
    operation.root_id = operation.parent.root_id if operation.parent else operation.pk
    operation.save(force_insert=True)
    Attempt.objects.create(operation=operation, number=2, fence=6, worker="w.1/1/1")  # its end was never told
    Attempt.objects.create(operation=operation, number=3, fence=7, worker="w.1/1/1")
    return operation


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


@dataclass
class Change:
    """What `move` changed of one operation; of its bystanders it must change nothing."""

    columns: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    attempt: dict[str, Any]


def change(operation: Operation, move: Callable[[], object], *others: Operation) -> Change:
    twin = worn(operation.owner, State(operation.state), parent=operation.parent)
    before, still = row(operation), [_all_of(one) for one in (twin, *others)]
    attempts = {one["fence"]: one for one in operation.attempts.values()}
    move()
    assert [_all_of(one) for one in (twin, *others)] == still, "of others nothing changes"
    after = row(operation)
    events = list(operation.events.filter(sequence__gt=before["last_sequence"]).order_by("sequence"))
    assert [event.sequence for event in events] == [*range(before["last_sequence"] + 1, after["last_sequence"] + 1)]
    assert not events or after["updated_at"] > before["updated_at"]
    told = {"last_sequence", "updated_at"}
    columns = {name: after[name] for name in after if after[name] != before[name] and name not in told}
    closed = {
        one["fence"]: {name: value for name, value in one.items() if value != attempts.get(one["fence"], {}).get(name)}
        for one in operation.attempts.values()
    }
    assert not closed.pop(6), "only the attempt under this fence is closed"
    told_of = closed.pop(7)
    return Change(columns, [(event.kind, event.data) for event in events], closed.get(8, told_of))


def row(operation: Operation) -> dict[str, Any]:
    return dict(Operation.objects.filter(pk=operation.pk).values().get())


def _all_of(operation: Operation) -> Any:
    return row(operation), list(operation.attempts.values()), list(operation.events.values())
