"""Resume or retry an operation with its children, all of them or none, in one transaction.

At no instant does a child go on whose parent is stopped, as it would be stopped too, nor a parent whose children are
stopped, as it would wait for ever. All rows are locked first, the children's before their parents', as by every ending.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from ..exceptions import NotAllowedNow
from ..models import Operation
from ..states import State
from . import moves, removal, transitions

#: A child is stopped, and stays so, where its parent is in one of these states.
STOPS = frozenset({State.CANCELLING, State.CANCELLED, State.FAILED, State.EXPIRED})
PAUSES = frozenset({State.PAUSING, State.PAUSED})
_ENDED = frozenset({State.FAILED, State.CANCELLED})
_COLUMNS = ("state", "parent_id", "depth", "weight")


def resume(operation_id: UUID, by: str) -> list[Operation]:
    """The operation, and the children that go on with it. Raises `NotAllowedNow`."""
    with transaction.atomic():
        family = _locked(operation_id)
        _refuse_below(PAUSES, operation_id, "resume")
        children = _with(operation_id, family, {State.PAUSED}, {State.PAUSED}, {State.PAUSING})
        return [transitions.resume(operation_id, by), *_resume(children, by)]


def retry(operation_id: UUID, by: str, *, from_start: bool) -> list[Operation]:
    """The operation, and the children that are tried again with it. Raises `NotAllowedNow` and `AlreadyActive`."""
    with transaction.atomic():
        family = _locked(operation_id)
        _refuse_below(STOPS, operation_id, "retry")
        again = frozenset[State]() if from_start else _ENDED
        children = _with(operation_id, family, again, _ENDED | {State.PAUSED}, {State.CANCELLING, State.PAUSING})
        operation = transitions.retry_by_hand(operation_id, by, from_start=from_start)
        return [operation, *_retry(children, by), *_resume(children, by)]


def _locked(operation_id: UUID) -> dict[UUID, Operation]:
    rows = Operation.objects.filter(pk__in=removal.members([operation_id])).order_by("-depth", "pk")
    return {row.pk: row for row in rows.select_for_update().only(*_COLUMNS)}


def _refuse_below(stopped: Collection[State], operation_id: UUID, verb: str) -> None:
    """What goes on below a parent that does not would be stopped again."""
    mine = Operation.objects.filter(pk=operation_id).values("parent_id")
    parent = Operation.objects.select_for_update().filter(pk__in=mine, state__in=stopped).only("state").first()
    if parent is not None:
        raise NotAllowedNow(f"Its parent is {parent.state}: {verb} that, and its children go on with it.")


def _with(
    operation_id: UUID,
    family: dict[UUID, Operation],
    where: Collection[State],
    states: Collection[State],
    stopping: Collection[State],
) -> list[Operation]:
    """Where the operation is in one of the states `where`: its descendants in `states`, as far as their parents are.

    Raises `NotAllowedNow` for one that still stops.
    """
    below, found, parents = defaultdict[Any, list[Operation]](list), list[Operation](), list[UUID]()
    for row in family.values():
        below[row.parent_id].append(row)
        if row.pk == operation_id and row.state in where:
            parents.append(row.pk)
    for parent in parents:
        if any(child.state in stopping for child in below[parent]):
            raise NotAllowedNow("Some of its children have not stopped yet; try again when they have.")
        reached = [child for child in below[parent] if child.state in states]
        found += reached
        parents += [child.pk for child in reached]
    return found


def _resume(children: list[Operation], by: str) -> list[Operation]:
    paused = [child.pk for child in children if child.state == State.PAUSED]
    is_paused = Q(state=State.PAUSED)
    waiting = moves.enter_all(State.WAITING, paused, ("resumed", {"by": by}), transitions.WAITS)
    return waiting + moves.enter_all(State.QUEUED, paused, ("resumed", {"by": by}), is_paused, **transitions.resumed())


def _retry(children: list[Operation], by: str) -> list[Operation]:
    """Their parents count them again."""
    ended = [child for child in children if child.state in _ENDED]
    entry, changes = transitions.retried(by)
    again = moves.enter_all(State.QUEUED, [child.pk for child in ended], entry, Q(state__in=_ENDED), **changes)
    weights = defaultdict[Any, list[float]](list)
    for child in ended:
        weights[child.parent_id].append(child.weight)
    for parent_id, of_children in weights.items():
        transitions.count_again(parent_id, of_children)
    return again
