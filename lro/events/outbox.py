"""Send things from a thread of its own, so that whoever has something to say never waits for a network."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_EXIT_SECONDS = 2.0


class Outbox(Generic[Item]):
    """Hands what was put in to `deliver`, in lists, the newest per key. The thread is started at first use.

    `deliver` must not raise. What is still here when the process is killed is lost, so only hints may go this way.
    """

    def __init__(self, name: str, deliver: Callable[[list[Item]], None]) -> None:
        self._name, self._deliver = name, deliver
        self._changed = threading.Condition()
        self._idle = threading.Event()
        self._idle.set()
        self._pending: dict[Hashable, Item] = {}
        self._thread: threading.Thread | None = None
        _outboxes.add(self)

    def put(self, key: Hashable, item: Item) -> None:
        with self._changed:
            self._pending[key] = item
            self._idle.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def flush(self, timeout: float) -> bool:
        """Wait until all is delivered; False where that takes longer than `timeout` seconds."""
        return self._idle.wait(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._pending:
                    self._idle.set()
                    self._changed.wait()
                items, self._pending = list(self._pending.values()), {}
            self._deliver(items)

    def forget(self) -> None:
        """In a process that was just forked: the thread and what it was to send belong to the parent."""
        type(self).__init__(self, self._name, self._deliver)


_outboxes: weakref.WeakSet[Outbox[Any]] = weakref.WeakSet()


def _reset_all() -> None:
    for outbox in list(_outboxes):
        outbox.forget()


def _flush_all() -> None:
    for outbox in list(_outboxes):
        outbox.flush(_EXIT_SECONDS)


os.register_at_fork(after_in_child=_reset_all)
atexit.register(_flush_all)
