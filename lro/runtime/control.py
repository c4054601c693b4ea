"""What a person may do to an operation, the same from every surface: each act is recorded with its actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from ..lifecycle import transitions
from ..models import Operation
from ..states import HELD, PARKED, State
from . import queueing

#: In which states each verb does something.
VERBS: dict[str, frozenset[State]] = {
    "cancel": (HELD | PARKED) - {State.CANCELLING},
    "pause": frozenset({State.QUEUED, State.RETRYING, State.RUNNING}),
    "resume": frozenset({State.PAUSED}),
    "retry": frozenset({State.FAILED, State.CANCELLED}),
}


def act(verb: str, operation_id: UUID, by: str, **options: Any) -> Operation:
    """Do `verb` and wake a worker where the operation is queued by it. Raises `NotAllowedNow`."""
    operation = _ACTS[verb](operation_id, by, **options)
    queueing.wake(operation)
    return operation


def cancel(operation_id: UUID, by: str) -> Operation:
    return transitions.cancel(operation_id, by)


def pause(operation_id: UUID, by: str) -> Operation:
    return transitions.pause(operation_id, by)


def resume(operation_id: UUID, by: str) -> Operation:
    return transitions.resume(operation_id, by)


def retry(operation_id: UUID, by: str, *, source: str = "checkpoint") -> Operation:
    return transitions.retry_by_hand(operation_id, by, from_start=source == "start")


_ACTS: dict[str, Callable[..., Operation]] = {"cancel": cancel, "pause": pause, "resume": resume, "retry": retry}
