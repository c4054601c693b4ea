"""Snapshot, replay, live: how any transport follows operations without losing or doubling an event.

A follower joins the live news first and reads the rows then. The rows are the record, so what it misses, or is too
slow for, it reads from them later: nothing is kept for it but a few frames.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..models import Operation
from . import frames, records
from .access import Rights
from .backlog import Backlog
from .frames import Frame, News
from .hub import hub
from .records import PAGE, Target, read

logger = logging.getLogger(__name__)

#: A client that is too slow and so far behind is told where it is now instead of all that it missed.
_TOO_FAR = 2_000
#: A client is slow that has not taken a frame for so long; many events at once make nobody slow.
_PATIENCE_SECONDS = 0.1


@dataclass(slots=True)
class _Join:
    target: Target
    after: int | None
    is_new: bool
    is_found: asyncio.Future[bool]
    begun: set[str] = field(default_factory=set)


class Follower:
    """One client's view: its targets, and per operation the sequence up to which it has been told.

    `send` may be as slow as the client is: one task of the follower's own calls it, and nobody waits for that task.
    """

    def __init__(self, rights: Rights, send: Callable[[Frame], Awaitable[None]]) -> None:
        self.rights = rights
        self.targets: set[Target] = set()
        self.cursors: dict[str, int] = {}
        self._take_frame = send
        self._sending_since: float | None = None
        #: Per operation the sequence after which it has been told all, up to the cursor.
        self._since: dict[str, int] = {}
        self._backlog = Backlog()
        self._joins: deque[_Join] = deque()
        #: Operations to be read from the rows; True where the client was too slow for them.
        self._behind: dict[str, bool] = {}
        self._missed: set[str] = set()
        self._pinged: dict[str, int] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        for target in self.targets:
            hub().leave(self, target)
        self.targets.clear()
        for join in self._joins:
            _answer(join, False)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # What the client asks for

    async def subscribe(self, target: Target, after: int | None = None) -> bool:
        """Begin to follow; False where there is nothing that this user may see.

        A target that is followed already is not told a second time.
        """
        is_new = target not in self.targets
        self.targets.add(target)
        hub().join(self, target)
        join = _Join(target, after, is_new, asyncio.get_running_loop().create_future())
        self._joins.append(join)
        self._wanted.set()
        return await join.is_found

    def unsubscribe(self, target: Target) -> None:
        if target not in self.targets:
            return
        self.targets.discard(target)
        hub().leave(self, target)
        if not self.targets:
            for operation in self.cursors.keys() | self._behind.keys():
                self._drop(operation)
        elif target.kind == "operation" and all(other.kind == "operation" for other in self.targets):
            self._drop(target.id)

    def heal(self, sequences: dict[str, int]) -> None:
        """Send again what the client had been sent by its last ping, and lacks by its own account."""
        for operation, sequence in sequences.items():
            if sequence < self._pinged.get(operation, 0) and operation in self.cursors:
                self._rewind(operation, max(0, sequence))
        self._pinged = dict(self.cursors)

    async def review(self, rights: Rights) -> None:
        """Go on with what these rights, asked anew, still allow."""
        self.rights = rights
        for waiting in self._backlog.drop(lambda one: not rights.sees(one.owner_id)):
            self.cursors[waiting.frame.operation] = waiting.before  # it was not told, should the right come back
        for target in await read(records.lost, list(self.targets), rights.user):
            self.unsubscribe(target)
            body = {**target.as_body(), "code": "not_found", "message": "There is no such operation any more."}
            await self._send(Frame("unsubscribed", body))

    def forget(self, operation: str) -> None:
        """Many others ended after it, so no late news of it can come any more; a retry is told from its first event."""
        is_told = operation not in self._behind and operation not in self._backlog
        if is_told and Target("operation", operation) not in self.targets:
            self._drop(operation)

    # What the hub brings

    def take(self, news: Sequence[News], owner_id: Any) -> None:
        """Consecutive events of one operation."""
        operation = news[0].operation
        if not self._takes(operation, owner_id):
            return
        is_slow = self._is_slow()
        for one in news:
            cursor = self.cursors.get(operation, 0)
            if one.sequence > cursor + 1:
                self._behind[operation] = False
            elif one.sequence == cursor + 1:
                self._put(one, owner_id, is_slow=is_slow)
            if operation in self._behind:
                break
        self._wanted.set()

    def take_up_to(self, sequence: int, operation: str, owner_id: Any) -> None:
        """There is nothing new but for who was told less than others."""
        if self._takes(operation, owner_id) and self.cursors.get(operation, 0) < sequence:
            self._behind[operation] = False
            self._wanted.set()

    def _takes(self, operation: str, owner_id: Any) -> bool:
        if operation in self._behind:
            self._behind[operation] |= self._is_slow()
            return False
        if not self.rights.sees(owner_id):
            return False
        if operation not in self.cursors and self._joins:
            self._missed.add(operation)  # whoever is joining reads its row now, or after this
            return False
        return True

    def _put(self, news: News, owner_id: Any, *, is_slow: bool) -> None:
        if self._backlog.put(news, self.rights.verbs(owner_id), owner_id, is_slow=is_slow):
            self._move(news.operation, news.sequence)
        else:
            self._behind[news.operation] = is_slow

    def _is_slow(self) -> bool:
        return self._sending_since is not None and time.monotonic() - self._sending_since >= _PATIENCE_SECONDS

    # What the client is told

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                while await self._do_next():
                    pass
            except OSError:  # the client is gone, and its transport is about to say so
                return
            except Exception:
                logger.warning("a follower reads again in a moment", exc_info=True)
                await asyncio.sleep(0.5)
                self._wanted.set()

    async def _send(self, frame: Frame) -> None:
        self._sending_since = time.monotonic()
        try:
            await self._take_frame(frame)
        finally:
            self._sending_since = None

    async def _do_next(self) -> bool:
        """Whether there was anything to do."""
        while self._backlog:
            await self._send(self._backlog.pop())
        if self._joins:
            await self._join(self._joins[0])
            self._end_join()
        elif self._behind:
            await self._catch_up(next(iter(self._behind)))
        else:
            return False
        return True

    async def _join(self, join: _Join) -> None:
        target = join.target
        rows = await read(target.page, self.rights.user)
        is_found = bool(rows) or not target.id
        if not is_found and join.is_new:
            self.unsubscribe(target)
        _answer(join, is_found)
        if not is_found:
            return
        while rows:
            for row in rows:
                await self._introduce(row, join)
            rows = await read(target.page, self.rights.user, rows[-1].pk) if target.has_more(rows) else []
        await self._send(Frame("caught_up", target.as_body()))

    async def _introduce(self, row: Operation, join: _Join) -> None:
        operation = str(row.pk)
        if join.target not in self.targets:  # it was unsubscribed meanwhile
            return
        if join.is_new and operation not in join.begun and not self._follows(row, beside=join.target):
            self._drop(operation)  # what an earlier subscription left
        if join.after is None or join.after > row.last_sequence:  # a sequence from the future: the rows were restored
            await self._send(frames.snapshot(row, self.rights.verbs(row.owner_id)))
            if operation not in self.cursors:
                self._move(operation, row.last_sequence, since=row.last_sequence)
        elif operation not in join.begun and join.after < self._since.get(operation, join.after + 1):
            self._rewind(operation, join.after)
        join.begun.add(operation)
        if self.cursors.get(operation, 0) < hub().told(operation):
            self._behind.setdefault(operation, False)
        while operation in self._behind:
            await self._catch_up(operation)

    def _follows(self, row: Operation, *, beside: Target) -> bool:
        return any(target != beside and target.includes(row, self.rights.user) for target in self.targets)

    def _end_join(self) -> None:
        self._joins.popleft()
        if not self._joins:
            self._behind |= dict.fromkeys(self._missed - self.cursors.keys(), False)
            self._missed.clear()

    def _rewind(self, operation: str, sequence: int) -> None:
        """Tell it from here on, whatever was told or waits to be."""
        self._backlog.drop(lambda one: one.frame.operation == operation)
        self._move(operation, sequence, since=min(sequence, self._since.get(operation, sequence)))
        self._behind[operation] = False
        self._wanted.set()

    async def _catch_up(self, operation: str) -> None:
        """Tell a page of what the operation's rows say after the cursor; it is done where there is no more."""
        cursor = self.cursors.get(operation, 0)
        is_known, is_slow = operation in self.cursors, self._behind[operation]
        events, row = await read(records.after_of, operation, cursor)
        if row is None or not self.rights.sees(row.owner_id):
            self._drop(operation)
            return
        verbs = self.rights.verbs(row.owner_id)
        is_far = is_slow and row.last_sequence - cursor > _TOO_FAR
        if is_far or (not is_known and len(events) == PAGE):
            await self._jump(row, cursor, verbs, is_gap=is_known)
            events = []
        told = self.cursors.get(operation, 0)
        for one in News.of(events, {row.pk: row}):
            await self._send(one.frame(verbs))
            is_moved = operation not in self._behind or self.cursors.get(operation, 0) != told
            if is_moved or not self.rights.sees(row.owner_id):
                return
            told = one.sequence
            self._move(operation, told)
        told_all = len(events) < PAGE and self.cursors.get(operation, 0) >= hub().told(operation)
        self._behind.pop(operation, None)
        if not told_all:
            self._behind[operation] = is_slow  # behind the others that wait

    async def _jump(self, row: Operation, cursor: int, verbs: Iterable[str], *, is_gap: bool) -> None:
        operation = str(row.pk)
        if is_gap:
            await self._send(Frame("gap", {"operation": operation, "after": cursor, "sequence": row.last_sequence}))
        await self._send(frames.snapshot(row, frozenset(verbs)))
        self._move(operation, row.last_sequence, since=row.last_sequence)

    def _move(self, operation: str, sequence: int, *, since: int | None = None) -> None:
        self.cursors[operation] = sequence
        self._since[operation] = self._since.get(operation, 0) if since is None else since

    def _drop(self, operation: str) -> None:
        self._backlog.drop(lambda one: one.frame.operation == operation)
        self._behind.pop(operation, None)
        self.cursors.pop(operation, None)
        self._since.pop(operation, None)


def _answer(join: _Join, is_found: bool) -> None:
    if not join.is_found.done():  # its client may be gone
        join.is_found.set_result(is_found)
