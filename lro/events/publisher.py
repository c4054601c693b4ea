"""Tell the web processes, after commit, that an operation has new events.

A push is only a hint: "operation X is at sequence n". Whoever follows X reads the rows after its own cursor, so a hint
that is lost, doubled or late does no harm. One thread per process sends them on a loop of its own, which keeps the
caller's cost to a dictionary entry, and merges the hints of one operation while a send is under way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from typing import NamedTuple

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)
GROUP = "lro"


class Hint(NamedTuple):
    operation: str
    root: str
    owner: int | None
    sequence: int


class Publisher(threading.Thread):
    """Sends what was published, newest per operation, until the process ends."""

    def __init__(self) -> None:
        super().__init__(name="lro-publisher", daemon=True)
        self._changed = threading.Condition()
        self._pending: dict[str, Hint] = {}

    def publish(self, hint: Hint) -> None:
        with self._changed:
            self._pending[hint.operation] = hint
            self._changed.notify()

    def run(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                runner.run(self._send(self._take()))

    def _take(self) -> list[Hint]:
        with self._changed:
            while not self._pending:
                self._changed.wait()
            hints, self._pending = self._pending, {}
        return list(hints.values())

    async def _send(self, hints: list[Hint]) -> None:
        layer = get_channel_layer()
        try:
            message = {"type": "lro.hints", "hints": [list(hint) for hint in hints]}
            await asyncio.wait_for(layer.group_send(GROUP, message), timeout=2)
        except Exception as error:  # the followers' floor poll heals what is lost here
            logger.warning("%d hints were not sent (%s); followers will read the rows instead", len(hints), error)


_lock = threading.Lock()
_publisher: Publisher | None = None


def publish(hint: Hint) -> None:
    """Send `hint` soon, without waiting and without an error. The thread is started at first use, so after any fork."""
    global _publisher
    with _lock:
        if _publisher is None or not _publisher.is_alive():
            _publisher = Publisher()
            _publisher.start()
        publisher = _publisher
    publisher.publish(hint)


def _forget_after_fork() -> None:
    global _publisher, _lock
    _publisher, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)


async def hints() -> AsyncIterator[list[Hint]]:
    """The hints of all processes, as they arrive."""
    layer = get_channel_layer()
    channel = await layer.new_channel("lro")
    await layer.group_add(GROUP, channel)
    try:
        while True:
            message = await layer.receive(channel)
            yield [Hint(*hint) for hint in message["hints"]]
    finally:
        await layer.group_discard(GROUP, channel)
