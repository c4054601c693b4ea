"""The client for programs without an event loop."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Literal

from .bodies import Upload
from .calls import Calls
from .connection import Address
from .effects import within
from .following import Following, cursors
from .resources import Artifact, Event, Operation, Reject
from .streaming import Stream, wait
from .sync_driver import Driver
from .tokens import TokenKeeper
from .watching import Watching


class Client:
    """Starts, follows and controls operations on one server, as one user.

    Give `username` and `password`, or a `refresh` token, or an access `token` that cannot be renewed. A request that
    does not get through is tried again for `patience` seconds, one try taking at most `timeout` seconds without a
    sign of life; a broken stream is taken up again behind its last event. It may be used by several threads.

    Every call may raise `Problem` (the server refuses, with a code), `Unreachable` (the patience is over),
    `SignedOut` and `InvalidAnswer`.
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

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the server."""
        self._driver.close()

    # Starting and controlling

    def start(
        self,
        name: str,
        input: Any = None,
        *,
        files: Mapping[str, Upload] | None = None,
        idempotency_key: str | None = None,
    ) -> Operation:
        """Start the operation `name`, as "uploads.import", and return it at once.

        `files` maps a field to a path, to an open seekable file, or to a name and a file. The request is repeated
        with the same key until the server has answered, and starts one operation; to be safe against a crash of the
        caller too, give an `idempotency_key` of your own.
        """
        return self._driver.run(self._calls.start(name, input, files, idempotency_key))

    def cancel(self, operation: str) -> Operation:
        """Ask it to stop for good; it goes on until it notices. A repeat is harmless, as for all of these."""
        return self._driver.run(self._calls.act(operation, "cancel"))

    def pause(self, operation: str) -> Operation:
        """Ask it to stop at its next checkpoint."""
        return self._driver.run(self._calls.act(operation, "pause"))

    def resume(self, operation: str) -> Operation:
        """Let a paused one go on."""
        return self._driver.run(self._calls.act(operation, "resume"))

    def retry(self, operation: str, *, source: Literal["checkpoint", "start"] = "checkpoint") -> Operation:
        """Try a failed or cancelled one again, from its checkpoint or from the start."""
        return self._driver.run(self._calls.act(operation, "retry", {"from": source}))

    def delete(self, operation: str) -> None:
        """Delete a finished one with its files."""
        self._driver.run(self._calls.delete(operation))

    # Reading

    def get(self, operation: str) -> Operation:
        """The operation as it is now."""
        return self._driver.run(self._calls.get(operation))

    def list(self, **filters: Any) -> Iterator[Operation]:
        """Newest first, page after page; filters are `state`, `name`, `module`, `tag`, `search` and so on."""
        return self._driver.iterate(self._calls.list(filters))

    def children(self, operation: str) -> Iterator[Operation]:
        """In the order in which they were spawned."""
        return self._driver.iterate(self._calls.children(operation))

    def events(self, operation: str, after: int = 0) -> Iterator[Event]:
        """The events that are stored now, those behind the sequence `after`."""
        return self._driver.iterate(self._calls.events(operation, after))

    def rejects(self, operation: str) -> Iterator[Reject]:
        """The items that could not be processed."""
        return self._driver.iterate(self._calls.rejects(operation))

    def artifacts(self, operation: str) -> Iterator[Artifact]:
        """The files that it produced."""
        return self._driver.iterate(self._calls.artifacts(operation))

    def download(self, artifact: Artifact, to: str | Path) -> Path:
        """Save the file as `to`, or in it where that is a folder, and return its path.

        The file is there only when all of it has come and its digest is right, else `InvalidAnswer` is raised.
        """
        return self._driver.run(self._calls.download(artifact, to))

    # Following

    def follow(self, *operations: str, after: int | Mapping[str, int] = 0, until_done: bool = True) -> Iterator[Event]:
        """The events behind the sequence `after`, stored and new ones: each once, in the order of its operation.

        A server that restarts, a lost connection and an expired token are not noticed. It ends when all operations
        have ended, or never without `until_done`. `after` may be a sequence for each operation; up to 50 of them
        share a socket. Raises `Problem` with the code `not_found` where one is not there, or is not there any more.
        """
        following = Following(cursors(operations, after), until_done=until_done)
        return self._driver.iterate(Stream(self._calls, following).run())

    def watch(self, operation: str) -> Iterator[Operation]:
        """Its states until it is done, beginning with the present one; who is slow misses those in between."""
        return self._driver.iterate(Stream(self._calls, Watching(operation)).run())

    def wait(self, operation: str, timeout: float | None = None) -> Operation:
        """Wait until it is done, however it ends: `wait(id).raise_for_state()` raises `OperationFailed`.

        Raises `TimeoutError` after `timeout` seconds.
        """
        return self._driver.run(within(wait(self._calls, operation), timeout, self._calls.clock))
