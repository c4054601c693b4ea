"""Follow an operation while it runs, as every transport does, and compare what was told with what is stored."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest import mock
from uuid import UUID

from django.db import connection

from ..models import Event, Operation
from ..transports import records
from ..transports.access import Rights
from ..transports.following import Follower
from ..transports.frames import Frame
from ..transports.records import Target, read

_WITHIN_SECONDS = 10.0


@contextmanager
def followed(operation: Operation) -> Iterator[list[dict[str, Any]]]:
    """Follow the operation live, as its owner; the block's value is the list of the events that came so far.

    At the end of the block every event that is stored must have come, in order and once. Raises AssertionError.
    """
    with mock.patch.object(records, "_readers", ThreadPoolExecutor(1, "lro-test-reader")) as readers:
        log = _Log(operation)
        log.start()
        try:
            assert log.is_ready.wait(_WITHIN_SECONDS), "The follower did not begin."
            assert log.problem is None, log.problem
            yield log.events
            log.await_all()
        finally:
            log.stop()
            readers.submit(lambda: connection.close()).result()  # that of its own thread
            readers.shutdown()


class _Log(threading.Thread):
    def __init__(self, operation: Operation) -> None:
        super().__init__(name="lro-test-follower", daemon=True)
        self._user, self._id = operation.owner, operation.pk
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self.events: list[dict[str, Any]] = []
        self.is_ready = threading.Event()
        self.problem: str | None = None

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._follow())
        finally:
            self.is_ready.set()

    def stop(self) -> None:
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
        self.join()

    async def _follow(self) -> None:
        follower = Follower(await read(Rights.of, self._user), self._hear)
        follower.start()
        try:
            if not await follower.subscribe(Target("operation", str(self._id)), after=0):
                self.problem = "Its owner may not see the operation."
            self.is_ready.set()
            await self._over.wait()
        finally:
            await follower.stop()

    async def _hear(self, frame: Frame) -> None:
        if frame.type == "event":
            self.events.append(frame.as_dict()["event"])

    def await_all(self) -> None:
        stored = _stored(self._id)
        deadline = time.monotonic() + _WITHIN_SECONDS
        while len(self.events) < len(stored) and time.monotonic() < deadline:
            time.sleep(0.02)
        heard = [(event["sequence"], event["kind"]) for event in self.events]
        assert heard == stored, f"The follower heard {heard}, and stored are {stored}."


def _stored(operation_id: UUID) -> list[tuple[int, str]]:
    rows = Event.objects.filter(operation_id=operation_id).order_by("sequence")
    return list(rows.values_list("sequence", "kind"))
