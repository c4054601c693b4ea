"""Split work into child operations, go on when the last has ended, and do to a family what is done to its parent."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, F, FloatField, OuterRef, Sum, UUIDField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from ..conf import conf
from ..events import journal
from ..exceptions import Fail, NotAllowedNow
from ..lifecycle import families, moves, transitions
from ..models import Operation, Reject
from ..states import HELD, TERMINAL, State
from . import queueing, registry, submission

logger = logging.getLogger(__name__)
POLICIES = (moves.FAIL_PARENT, "collect", "ignore")
_CHUNK = 500
#: How many siblings a process stops before it is free again for its own work.
_AT_ONCE = 50
#: Parents in these states take their children along.
_TAKE_ALONG = {"cancel": families.STOPS, "pause": families.PAUSES}
#: Children that are asked for nothing more.
_ASKED = {"cancel": frozenset({State.CANCELLING}), "pause": families.PAUSES | {State.CANCELLING}}


class Spawner:
    """The children that one attempt asks for. Asked for again after a crash, they are not made twice."""

    def __init__(self, held: Operation) -> None:
        self._held = held
        self._asked: Counter[str] = Counter()

    def chunks(self, name: str, inputs: Iterable[dict[str, Any]], keys: Iterable[str] | None, weight: float) -> Any:
        """Unsaved children, a few hundred at a time."""
        cls = registry.find(name)
        if self._held.depth + 1 > conf().max_depth:
            raise Fail("too_deep", f"Operations may be nested {conf().max_depth} deep.")
        given = iter(keys) if keys is not None else None
        chunk: list[Operation] = []
        for data in inputs:
            child = submission.child_of(self._held, cls, data)
            child.child_key = next(given) if given is not None else self._key(name, child.input)
            child.weight = weight
            chunk.append(child)
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = []
        yield chunk

    def _key(self, name: str, data: Any) -> str:
        """The same call at the same place of `run` gives the same key in every attempt."""
        digest = hashlib.sha256(json.dumps([name, data], sort_keys=True).encode()).hexdigest()[:32]
        self._asked[digest] += 1
        return f"{digest}:{self._asked[digest]}"

    def spawn(self, children: list[Operation]) -> None:
        """Insert those that are not there yet, and wake workers for them."""
        siblings = Operation.objects.filter(parent_id=self._held.pk)
        with transaction.atomic():
            Operation.objects.select_for_update().get(pk=self._held.pk)  # the siblings stay as they are now
            keys = [child.child_key for child in children]
            known = set(siblings.filter(child_key__in=keys).values_list("child_key", flat=True))
            fresh = [child for child in children if child.child_key not in known]
            if siblings.count() + len(fresh) > conf().max_children:
                raise Fail("too_many_children", f"An operation has at most {conf().max_children:,} children.")
            transitions.spawn(self._held, fresh)
        for child in fresh:
            queueing.wake(child)


def gathered(held: Operation, on_failure: str) -> list[Operation] | None:
    """The children in the order in which they were asked for; None while some are still at work.

    Raises `Fail` for the first one that did not succeed, where that is to fail the parent, whoever is still at work.
    """
    if on_failure not in POLICIES:
        raise ValueError(f"on_failure is one of {', '.join(POLICIES)}, not {on_failure!r}")
    children = Operation.objects.filter(parent_id=held.pk).order_by("child_index")
    failed = children.filter(state__in=TERMINAL - {State.SUCCEEDED})
    if on_failure == moves.FAIL_PARENT and (first := failed.first()) is not None:
        failure = moves.child_failed(first)
        raise Fail(failure.code, failure.message, failure.details)
    if children.active().exists():
        return None
    return list(children.filter(state=State.SUCCEEDED) if on_failure == "ignore" else children)


def copy_rejects(child_id: UUID, parent_id: UUID, room: int | None, shift: int) -> tuple[int, list[Reject]]:
    """Copy the child's rejects that the parent lacks, `room` at most: how many there were, and the first few.

    A position is `shift` higher in the parent.
    """
    taken = Reject.objects.filter(operation_id=parent_id, position=OuterRef("position") + shift)
    lacking = Reject.objects.filter(~Exists(taken), operation_id=child_id).order_by("position")[:room]
    first = list(lacking[: min(5, room if room is not None else 5)])
    for reject in first:
        reject.position += shift
    fields = [field for field in Reject._meta.concrete_fields if field.name not in ("id", "operation", "position")]
    columns = [field.column for field in Reject._meta.concrete_fields if field.name in ("operation", "position")]
    names = ", ".join(connection.ops.quote_name(str(name)) for name in (*columns, *(f.column for f in fields)))
    moved = {"_parent": Value(parent_id, UUIDField()), "_position": F("position") + shift}
    copied = lacking.annotate(**moved).values_list(*moved, *(field.name for field in fields))
    query, parameters = copied.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {connection.ops.quote_name(Reject._meta.db_table)} ({names}) {query}", parameters)
        return cursor.rowcount, first


# What an ending means for the rest of the family


def follow_up(child: Operation) -> None:
    """After an operation may have ended: wake who waited for it, stop its siblings where it failed its parent."""
    queueing.wake_next(child)
    if child.parent_id is None:
        return
    parent = Operation.objects.filter(pk=child.parent_id).first()
    if parent is None:
        return
    if parent.state == State.QUEUED and parent.woken_at is None:
        queueing.wake_now(parent)
    elif parent.state in families.STOPS:
        cascade("cancel", parent.pk, "its parent", at_most=_AT_ONCE)  # the reconciler does the rest
        follow_up(parent)


def cascade(verb: str, parent_id: UUID, by: str, *, at_most: int | None = None) -> None:
    """Cancel or pause the children as their parent; each in a transaction of its own, the parent came first."""
    children = Operation.objects.active().filter(parent_id=parent_id).exclude(state__in=_ASKED[verb])
    for child_id in list(children.order_by("child_index").values_list("pk", flat=True)[:at_most]):
        _do(verb, child_id, by)
        cascade(verb, child_id, by, at_most=at_most)


def _do(verb: str, operation_id: UUID, by: str) -> bool:
    """Whether it was done: not where the child ended meanwhile, or its parent was resumed or retried."""
    try:
        with transaction.atomic():
            operation = getattr(transitions, verb)(operation_id, by)
            parent = Operation.objects.select_for_update().filter(pk=operation.parent_id)
            if not parent.filter(state__in=_TAKE_ALONG[verb]).exists():
                raise NotAllowedNow("Its parent goes on.")
    except NotAllowedNow:
        return False
    return True


# The reconciler's duties


def stop_families() -> int:
    """Children whose parent was stopped and that still go on."""
    return _spread("cancel")


def pause_families() -> int:
    """Children whose parent was paused and that still go on."""
    return _spread("pause")


def _spread(verb: str) -> int:
    children = Operation.objects.active().exclude(state__in=_ASKED[verb])
    rows = children.filter(parent__state__in=_TAKE_ALONG[verb]).values_list("pk", flat=True)
    return sum(_do(verb, pk, "its parent") for pk in rows[: conf().batch_size])


def join_forgotten() -> int:
    """Parents that wait though no child is at work. There must never be one: the last child's ending queues it."""
    at_work = Operation.objects.active().filter(parent_id=OuterRef("pk"))
    rows = Operation.objects.filter(~Exists(at_work), state=State.WAITING).values_list("pk", flat=True)
    joined = [pk for pk in rows[: conf().batch_size] if transitions.join(pk) is not None]
    if joined:
        logger.error("parents waited for children that had ended: %s", joined)
    return len(joined)


def roll_up(parent_id: UUID) -> None:
    """Write the progress of a waiting parent anew, with what its running children have done so far."""
    share = Cast(KeyTextTransform("percent", "progress"), FloatField())
    running = Operation.objects.filter(parent_id=parent_id, state__in=HELD)
    under_way = running.aggregate(weight=Coalesce(Sum(F("weight") * share), 0.0))["weight"] / 100
    with transaction.atomic():
        parent = Operation.objects.select_for_update().filter(pk=parent_id, state=State.WAITING).first()
        if parent is None:
            return
        progress = moves.rolled_up(parent, under_way)
        if progress["percent"] > (parent.progress.get("percent") or 0.0):
            journal.append(parent_id, [("progress", progress)], progress=progress)
