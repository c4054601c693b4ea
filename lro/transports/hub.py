"""One per process: hears the hints of all processes, reads the rows once, and hands the news to who follows them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..conf import conf
from ..events import publisher
from ..events.publisher import Hint
from . import payloads, records
from .frames import News
from .records import PAGE, Interest, Target, read

if TYPE_CHECKING:
    from .following import Follower

logger = logging.getLogger(__name__)
_OPERATIONS_AT_ONCE = 50
#: So many operations are remembered after their end: a late hint, or a retry, must bring nothing twice.
_REMEMBERED = 10_000


class Hub:
    """Knows who wants to hear of what, and up to which sequence each operation was told."""

    def __init__(self) -> None:
        self._followers: dict[tuple[str, Any], set[Follower]] = defaultdict(set)
        self._told: dict[str, int] = {}
        self._due: dict[str, Hint] = {}
        self._ended: dict[str, Hint] = {}
        self._wanted = asyncio.Event()
        self._polled_at = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    def join(self, follower: Follower, target: Target) -> None:
        self._followers[_key(target, follower.rights.user.pk)].add(follower)
        if not self._tasks:
            duties = (self._listen, self._poll, self._tell)
            self._tasks = [asyncio.create_task(self._forever(duty)) for duty in duties]

    def leave(self, follower: Follower, target: Target) -> None:
        key = _key(target, follower.rights.user.pk)
        self._followers[key].discard(follower)
        if not self._followers[key]:
            del self._followers[key]

    def told(self, operation: str) -> int:
        """The sequence up to which the operation was told to its followers."""
        return self._told.get(operation, 0)

    def hear(self, hints: Iterable[Hint]) -> None:
        """Read soon whatever somebody here follows and has not been told."""
        for hint in hints:
            due = self._due.get(hint.operation)
            known = self.told(hint.operation) if due is None else due.sequence
            if hint.sequence > known and self._interested(hint):
                self._due[hint.operation] = hint
                self._wanted.set()

    def _interested(self, hint: Hint) -> Collection[Follower]:
        keys: list[tuple[str, Any]] = [("operation", hint.operation), ("root", hint.root)]
        if hint.operation == hint.root:
            keys += [("mine", hint.owner), ("all", "")]
        found = [self._followers[key] for key in keys if key in self._followers]
        return found[0] if len(found) == 1 else set[Any]().union(*found)

    async def _forever(self, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await duty()
            except Exception as error:
                logger.warning("%s starts again: %s", duty.__name__, error)
            await asyncio.sleep(1)

    async def _listen(self) -> None:
        async for hints in publisher.hints():
            self.hear(hints)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(conf().floor_poll_seconds)
            now = time.monotonic()
            if self._followers:
                self.hear(await read(self._interest().recent, now - self._polled_at))
            self._polled_at = now
            self._forget_ended()

    def _interest(self) -> Interest:
        by_kind: dict[str, list[Any]] = defaultdict(list)
        for kind, value in self._followers:
            by_kind[kind].append(value)
        return Interest(by_kind["operation"], by_kind["root"], by_kind["mine"], bool(by_kind["all"]))

    async def _tell(self) -> None:
        if self._due:  # what an error left
            self._wanted.set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._due:
                batch = {key: self._due[key] for key in list(self._due)[:_OPERATIONS_AT_ONCE]}
                cursors = {key: self._start(hint) for key, hint in batch.items()}
                events, rows = await read(records.after, cursors)
                is_all = len(events) < PAGE
                news = {key: list(group) for key, group in groupby(events, lambda event: str(event.operation_id))}
                for key, group in news.items():
                    self._distribute(batch[key], News.of(group, rows))
                if is_all:
                    self._level({key: cursors[key] for key in batch.keys() - news.keys()}, batch)
                for key, hint in batch.items():
                    if (is_all or self.told(key) >= hint.sequence) and self._due.get(key) is hint:
                        del self._due[key]

    def _start(self, hint: Hint) -> int:
        """Where the one who was told most stands; who has less reads the rest for itself."""
        cursors = (follower.cursors.get(hint.operation, 0) for follower in self._interested(hint))
        return max(self.told(hint.operation), max(cursors, default=0))

    def _distribute(self, hint: Hint, news: list[News]) -> None:
        for follower in list(self._interested(hint)):
            follower.take(news, hint.owner)
        self._told[hint.operation] = news[-1].sequence
        self._ended.pop(hint.operation, None)
        if news[-1].kind in payloads.ENDINGS:
            self._ended[hint.operation] = hint

    def _level(self, cursors: dict[str, int], hints: dict[str, Hint]) -> None:
        """Nothing is new of these, as somebody read it when it came; the others may have been told less."""
        for key, cursor in cursors.items():
            for follower in list(self._interested(hints[key])):
                follower.take_up_to(cursor, key, hints[key].owner)
            self._told[key] = cursor

    def _forget_ended(self) -> None:
        while len(self._ended) > _REMEMBERED:
            operation, hint = next(iter(self._ended.items()))
            del self._ended[operation]
            self._told.pop(operation, None)
            for follower in self._interested(hint):
                follower.forget(operation)


def _key(target: Target, user_id: Any) -> tuple[str, Any]:
    return target.kind, user_id if target.kind == "mine" else target.id


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
