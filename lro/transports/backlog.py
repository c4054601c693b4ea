"""What waits for one client that reads more slowly than things happen: a few frames, and never more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .frames import EventFrame, News

#: From the first number of frames that wait for a slow client on, progress is merged; at the second no more is taken.
MANY, FULL = 16, 256


@dataclass(slots=True)
class Waiting:
    frame: EventFrame  # a newer one may take its place while it waits
    owner_id: Any

    @property
    def before(self) -> int:
        """The sequence before all that it stands for."""
        return self.frame.sequence - self.frame.merged - 1


class Backlog:
    """Event frames in the order in which they came; progress that waits for a slow client is merged."""

    def __init__(self) -> None:
        self._queue: deque[Waiting] = deque()
        self._last: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._queue)

    def __contains__(self, operation: str) -> bool:
        """Whether something of this operation waits."""
        return operation in self._last

    def put(self, news: News, verbs: frozenset[str], owner_id: Any, *, is_slow: bool) -> bool:
        """Whether it was taken: False where it is full."""
        last = self._last.get(news.operation)
        if is_slow and last and news.is_progress and last.frame.is_progress and len(self._queue) >= MANY:
            last.frame = news.instead_of(last.frame)
            return True
        if len(self._queue) >= FULL:
            return False
        self._last[news.operation] = Waiting(news.frame(verbs), owner_id)
        self._queue.append(self._last[news.operation])
        return True

    def pop(self) -> EventFrame:
        waiting = self._queue.popleft()
        if self._last[waiting.frame.operation] is waiting:
            del self._last[waiting.frame.operation]
        return waiting.frame

    def drop(self, is_dropped: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take these out, and return them, the newest first."""
        dropped = [one for one in reversed(self._queue) if is_dropped(one)]
        if dropped:
            self._queue = deque(one for one in self._queue if not is_dropped(one))
            self._last = {one.frame.operation: one for one in self._queue}
        return dropped
