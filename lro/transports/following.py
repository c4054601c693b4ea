"""Snapshot, replay, live: how any transport follows operations without losing or doubling an event.

A follower joins the live hints first and reads the rows then; each hint makes it read the rows after its own cursor.
The rows are the record, so a lost hint costs only the wait for the next one or for the floor poll.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import close_old_connections, connection
from django.db.models.functions import Now

from ..conf import conf
from ..events import publisher
from ..events.publisher import Hint
from ..models import Event, Operation
from . import payloads

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Frame = dict[str, Any]

_PAGE = 500
#: How far back the floor poll looks: a transaction may commit this long after its clock was read.
_OVERLAP = timedelta(seconds=15)
_readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="lro-reader")


async def read(query: Callable[..., Answer], *args: Any) -> Answer:
    """Run a query beside the event loop, on one of a few threads that keep their connections."""

    def run() -> Answer:
        close_old_connections()
        try:
            return query(*args)
        except Exception:
            connection.close()
            raise

    return await asyncio.get_running_loop().run_in_executor(_readers, run)


@dataclass(frozen=True, slots=True)
class Target:
    """What is followed: one operation, a tree by its root, a user's own, or all."""

    kind: str  # operation, root, mine, all
    id: str = ""

    def matches(self, hint: Hint, user_id: Any) -> bool:
        return (
            (self.kind == "operation" and hint.operation == self.id)
            or (self.kind == "root" and hint.root == self.id)
            or (self.kind == "mine" and hint.owner == user_id and hint.operation == hint.root)
            or (self.kind == "all" and hint.operation == hint.root)
        )

    def as_frame(self) -> Frame:
        return {self.kind: self.id or True}

    def rows(self, user: Any) -> Any:
        visible = Operation.objects.visible_to(user).select_related("owner")
        if self.kind == "operation":
            return visible.filter(pk=UUID(self.id))
        if self.kind == "root":
            return visible.filter(root_id=UUID(self.id))
        roots = visible.filter(parent=None)  # who wants the children follows their root
        return (roots.filter(owner=user) if self.kind == "mine" else roots).active()


class Follower:
    """One client's view: its targets, and per operation the sequence up to which it has been told."""

    def __init__(self, user: Any, send: Callable[[Frame], Awaitable[None]]) -> None:
        self.user = user
        self.targets: set[Target] = set()
        self.cursors: dict[str, int] = {}
        self._send = send
        self._pending: set[str] = set()
        self._wanted = asyncio.Event()
        self._telling = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        hub().add(self)
        self._task = asyncio.create_task(self._deliver())

    async def stop(self) -> None:
        hub().remove(self)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def subscribe(self, target: Target, after: int | None = None) -> bool:
        """Begin to follow; False where there is nothing that this user may see."""
        is_new = target not in self.targets
        self.targets.add(target)
        async with self._telling:
            rows = await read(lambda: list(target.rows(self.user)[:_PAGE]))
            if target.id and not rows:
                self.targets.discard(target) if is_new else None
                return False
            for row in rows:
                await self._introduce(row, after)
            await self._send({"type": "caught_up", **target.as_frame()})
        return True

    def unsubscribe(self, target: Target) -> None:
        self.targets.discard(target)
        if not self.targets:
            self.cursors.clear()

    async def _introduce(self, row: Operation, after: int | None) -> None:
        identifier = str(row.pk)
        if after is None:
            await self._send({"type": "snapshot", "operation": payloads.operation(row, self.user)})
            self.cursors[identifier] = row.last_sequence
        else:
            self.cursors[identifier] = after
            await self._tell(identifier)

    def hear(self, hint: Hint) -> None:
        """A hint arrived: read the rows soon, if it is about anything that this client follows and has not got."""
        if self.cursors.get(hint.operation, 0) >= hint.sequence:
            return
        if any(target.matches(hint, self.user.pk) for target in self.targets):
            self._pending.add(hint.operation)
            self._wanted.set()

    def look(self, operation_ids: list[str]) -> None:
        """Read these operations' rows without a hint."""
        self._pending.update(identifier for identifier in operation_ids if identifier in self.cursors)
        self._wanted.set()

    async def _deliver(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            pending, self._pending = self._pending, set()
            try:
                async with self._telling:
                    for identifier in pending:
                        await self._tell(identifier)
            except Exception:
                logger.warning("a follower will read %d operations again", len(pending), exc_info=True)
                self._pending |= pending
                await asyncio.sleep(0.5)
                self._wanted.set()

    async def _tell(self, identifier: str) -> None:
        """Send the events after the cursor, in order, and with the last change of state the operation as it is now."""
        while True:
            events, row = await read(_news, self.user, UUID(identifier), self.cursors.get(identifier, 0))
            if row is None:
                return  # it was deleted, or it is no longer this user's
            for event in events:
                frame: Frame = {"type": "event", "event": payloads.event(event)}
                if event.kind in payloads.LIFECYCLE and len(events) < _PAGE:
                    frame["operation"] = payloads.operation(row, self.user)
                await self._send(frame)
                self.cursors[identifier] = event.sequence
            if len(events) < _PAGE:
                return


class Hub:
    """One per process: hears the hints of all processes and hands them to the followers here."""

    def __init__(self) -> None:
        self._followers: set[Follower] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, follower: Follower) -> None:
        self._followers.add(follower)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._forever(duty)) for duty in (self._listen, self._poll)]

    def remove(self, follower: Follower) -> None:
        self._followers.discard(follower)

    async def _forever(self, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await duty()
            except Exception as error:
                logger.warning("%s starts again: %s", duty.__name__, error)
            await asyncio.sleep(1)

    async def _listen(self) -> None:
        async for hints in publisher.hints():
            self._spread(hints)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(conf().floor_poll_seconds)
            if self._followers:
                self._spread(await read(_recent))

    def _spread(self, hints: list[Hint]) -> None:
        for follower in self._followers:
            for hint in hints:
                follower.hear(hint)


def _news(user: Any, operation_id: UUID, after: int) -> tuple[list[Event], Operation | None]:
    """The events first and the row then, so that the row is never older than an event that it comes with."""
    events = list(Event.objects.filter(operation_id=operation_id, sequence__gt=after)[:_PAGE])
    return events, Operation.objects.visible_to(user).select_related("owner").filter(pk=operation_id).first()


def _recent() -> list[Hint]:
    rows = Operation.objects.filter(updated_at__gte=Now() - _OVERLAP)
    columns = rows.values_list("pk", "root_id", "owner_id", "last_sequence")
    return [Hint(str(pk), str(root), owner, sequence) for pk, root, owner, sequence in columns]


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
