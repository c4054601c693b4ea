"""What a person may do to an operation, the same from every surface: each act is recorded with its actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction

from ..conf import conf
from ..exceptions import NotAllowedNow, Problem
from ..lifecycle import families, transitions
from ..models import Operation
from ..states import HELD, PARKED, State
from . import admission, fan_out, queueing, registry

#: In which states each verb does something.
VERBS: dict[str, frozenset[State]] = {
    "cancel": (HELD | PARKED) - {State.CANCELLING},
    "pause": frozenset({State.QUEUED, State.RETRYING, State.RUNNING, State.WAITING}),
    "resume": frozenset({State.PAUSED}),
    "retry": frozenset({State.FAILED, State.CANCELLED}),
}


def act(verb: str, operation_id: UUID, by: str, **options: Any) -> Operation:
    """Do `verb` and wake a worker where the operation is queued by it. Raises `NotAllowedNow`."""
    if verb in ("resume", "retry"):
        _reconsider(operation_id, verb)
    operation = _ACTS[verb](operation_id, by, **options)
    queueing.wake(operation)
    fan_out.follow_up(operation)
    return operation


def _reconsider(operation_id: UUID, verb: str) -> None:
    """Ask the operation's class, where the verb would do something."""
    operation = Operation.objects.filter(pk=operation_id, state__in=VERBS[verb]).first()
    cls = registry.known(operation.name) if operation is not None else None
    if operation is None or cls is None:  # where its code is gone, the attempt will say so
        return
    try:
        cls.reconsider(operation, verb)
    except Problem as problem:
        refusal = NotAllowedNow(problem.message)
        refusal.code = problem.code
        raise refusal from problem


def cancel(operation_id: UUID, by: str) -> Operation:
    operation = transitions.cancel(operation_id, by)
    fan_out.cascade("cancel", operation_id, by, at_most=conf().batch_size)  # the reconciler does the rest
    return operation


def pause(operation_id: UUID, by: str) -> Operation:
    operation = transitions.pause(operation_id, by)
    fan_out.cascade("pause", operation_id, by, at_most=conf().batch_size)
    return operation


def resume(operation_id: UUID, by: str) -> Operation:
    return _awoken(families.resume(operation_id, by))


def retry(operation_id: UUID, by: str, *, source: str = "checkpoint") -> Operation:
    with transaction.atomic():
        if (ended := Operation.objects.filter(pk=operation_id, state__in=VERBS["retry"]).first()) is not None:
            admission.admit_again(ended)
        family = families.retry(operation_id, by, from_start=source == "start")
    return _awoken(family)


def _awoken(family: list[Operation]) -> Operation:
    operation, *children = family
    for child in children:
        queueing.wake(child)
    return operation


_ACTS: dict[str, Callable[..., Operation]] = {"cancel": cancel, "pause": pause, "resume": resume, "retry": retry}
