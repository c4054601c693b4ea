"""The client for programs with an event loop."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Literal

from .async_driver import Driver
from .bodies import Upload
from .calls import Calls
from .connection import Address
from .effects import within
from .following import Following, cursors
from .resources import Artifact, Event, Operation, Reject
from .streaming import Stream, wait
from .tokens import TokenKeeper
from .watching import Watching


class AsyncClient:
    """As `Client`, with coroutines and asynchronous iterators: its arguments, calls and errors are the same.

    It belongs to one event loop. An iterator that is left early is closed with `contextlib.aclosing`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        refresh: str | None = None,
        patience: float = 120.0,
        timeout: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        keeper = TokenKeeper(username=username, password=password, token=token, refresh=refresh, clock=monotonic)
        self._calls = Calls(keeper, patience=patience, timeout=timeout)
        self._driver = Driver(Address(base_url), self._calls, ssl_context)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """As `Client.close`."""
        await self._driver.close()

    # Starting and controlling

    async def start(
        self,
        name: str,
        input: Any = None,
        *,
        files: Mapping[str, Upload] | None = None,
        idempotency_key: str | None = None,
    ) -> Operation:
        """As `Client.start`."""
        return await self._driver.run(self._calls.start(name, input, files, idempotency_key))

    async def cancel(self, operation: str) -> Operation:
        """As `Client.cancel`."""
        return await self._driver.run(self._calls.act(operation, "cancel"))

    async def pause(self, operation: str) -> Operation:
        """As `Client.pause`."""
        return await self._driver.run(self._calls.act(operation, "pause"))

    async def resume(self, operation: str) -> Operation:
        """As `Client.resume`."""
        return await self._driver.run(self._calls.act(operation, "resume"))

    async def retry(self, operation: str, *, source: Literal["checkpoint", "start"] = "checkpoint") -> Operation:
        """As `Client.retry`."""
        return await self._driver.run(self._calls.act(operation, "retry", {"from": source}))

    async def delete(self, operation: str) -> None:
        """As `Client.delete`."""
        await self._driver.run(self._calls.delete(operation))

    # Reading

    async def get(self, operation: str) -> Operation:
        """As `Client.get`."""
        return await self._driver.run(self._calls.get(operation))

    def list(self, **filters: Any) -> AsyncIterator[Operation]:
        """As `Client.list`."""
        return self._driver.iterate(self._calls.list(filters))

    def children(self, operation: str) -> AsyncIterator[Operation]:
        """As `Client.children`."""
        return self._driver.iterate(self._calls.children(operation))

    def events(self, operation: str, after: int = 0) -> AsyncIterator[Event]:
        """As `Client.events`."""
        return self._driver.iterate(self._calls.events(operation, after))

    def rejects(self, operation: str) -> AsyncIterator[Reject]:
        """As `Client.rejects`."""
        return self._driver.iterate(self._calls.rejects(operation))

    def artifacts(self, operation: str) -> AsyncIterator[Artifact]:
        """As `Client.artifacts`."""
        return self._driver.iterate(self._calls.artifacts(operation))

    async def download(self, artifact: Artifact, to: str | Path) -> Path:
        """As `Client.download`."""
        return await self._driver.run(self._calls.download(artifact, to))

    # Following

    def follow(
        self, *operations: str, after: int | Mapping[str, int] = 0, until_done: bool = True
    ) -> AsyncIterator[Event]:
        """As `Client.follow`."""
        following = Following(cursors(operations, after), until_done=until_done)
        return self._driver.iterate(Stream(self._calls, following).run())

    def watch(self, operation: str) -> AsyncIterator[Operation]:
        """As `Client.watch`."""
        return self._driver.iterate(Stream(self._calls, Watching(operation)).run())

    async def wait(self, operation: str, timeout: float | None = None) -> Operation:
        """As `Client.wait`."""
        return await self._driver.run(within(wait(self._calls, operation), timeout, self._calls.clock))
