"""The rows that followers are told of, read beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any, TypeVar
from uuid import UUID

from django.db import close_old_connections, connection
from django.db.models import Q
from django.db.models.functions import Now

from ..events.publisher import Hint
from ..models import Event, Operation
from . import payloads

Answer = TypeVar("Answer")

PAGE = 500
#: How much further back than to its last time the floor poll looks: a transaction may commit this long after its
#: clock was read.
_OVERLAP = timedelta(seconds=15)
_readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="lro-reader")


async def read(query: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
    """Run a query beside the event loop, on one of a few threads that keep their connections."""

    def run() -> Answer:
        close_old_connections()
        try:
            return query(*args, **options)
        except Exception:
            connection.close()
            raise

    return await asyncio.get_running_loop().run_in_executor(_readers, run)


@dataclass(frozen=True, slots=True)
class Target:
    """What is followed: one operation, a tree by its root, a user's own, or all."""

    kind: str  # operation, root, mine, all
    id: str = ""

    def as_body(self) -> dict[str, Any]:
        return {self.kind: self.id or True}

    def includes(self, row: Operation, user: Any) -> bool:
        """Whether who follows this hears of the operation."""
        if self.id:
            return self.id == str(row.pk if self.kind == "operation" else row.root_id)
        return row.parent_id is None and (self.kind == "all" or row.owner_id == user.pk)

    def rows(self, user: Any) -> Any:
        visible = Operation.objects.visible_to(user).select_related("owner")
        if self.kind == "operation":
            return visible.filter(pk=UUID(self.id))
        if self.kind == "root":
            return visible.filter(root_id=UUID(self.id))
        roots = visible.filter(parent=None)  # who wants the children follows their root
        return (roots.filter(owner=user) if self.kind == "mine" else roots).active()

    def page(self, user: Any, before: UUID | None = None) -> list[Operation]:
        """The newest of them, older than this one."""
        rows = self.rows(user).order_by("-pk")
        return list((rows if before is None else rows.filter(pk__lt=before))[:PAGE])

    def has_more(self, page: list[Operation]) -> bool:
        """Whether another page is worth asking for: of everybody's operations the newest are enough."""
        return len(page) == PAGE and self.kind != "all"


def after(cursors: Mapping[str, int]) -> tuple[list[Event], dict[UUID, Operation]]:
    """A page of the events after these sequences by operation, and the rows of those whose lifecycle went on.

    The events are read first, so that a row is never older than an event that it comes with.
    """
    wanted = (Q(operation_id=UUID(key), sequence__gt=sequence) for key, sequence in cursors.items())
    events = list(Event.objects.filter(reduce(or_, wanted)).order_by("operation_id", "sequence")[:PAGE])
    moved = {event.operation_id for event in events if event.kind in payloads.LIFECYCLE}
    return events, Operation.objects.select_related("owner").in_bulk(moved) if moved else {}


def after_of(operation_id: str, sequence: int) -> tuple[list[Event], Operation | None]:
    """A page of one operation's events after this sequence, and its row; None where it was deleted."""
    events = list(Event.objects.filter(operation_id=UUID(operation_id), sequence__gt=sequence)[:PAGE])
    return events, Operation.objects.select_related("owner").filter(pk=operation_id).first()


@dataclass(frozen=True, slots=True)
class Interest:
    """Of which operations anybody here wants to hear."""

    operations: Collection[str]
    roots: Collection[str]
    owners: Collection[Any]
    is_all: bool

    def recent(self, seconds: float) -> list[Hint]:
        """How far those of them are that changed in the last seconds, or shortly before."""
        own = Q(pk__in=self.operations) | Q(root_id__in=self.roots)
        own |= Q(parent=None) if self.is_all else Q(parent=None, owner_id__in=self.owners)
        rows = Operation.objects.filter(own, updated_at__gte=Now() - _OVERLAP - timedelta(seconds=seconds))
        columns = rows.values_list("pk", "root_id", "owner_id", "last_sequence")
        return [Hint(str(pk), str(root), owner, sequence) for pk, root, owner, sequence in columns]


def lost(targets: Collection[Target], user: Any) -> list[Target]:
    """Those of these targets that this user may no longer follow, or that were deleted."""
    named = {target.id for target in targets if target.id}
    visible = Operation.objects.visible_to(user).filter(pk__in=named).values_list("pk", flat=True)
    left = {str(pk) for pk in visible}
    return [
        target
        for target in targets
        if (target.id and target.id not in left) or (target.kind == "all" and not user.is_staff)
    ]
