"""One web process of which the test controls the rest: which hints come, and how fast each client reads."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock

from django.contrib.auth import get_user_model
from django.db import connection

from lro.events import journal, publisher
from lro.events.publisher import Hint
from lro.models import Event, Operation
from lro.runtime import submission
from lro.transports import records
from lro.transports.access import Rights
from lro.transports.following import Follower
from lro.transports.frames import Frame
from lro.transports.hub import hub
from lro.transports.records import Target, read

Answer = TypeVar("Answer")
_WITHIN_SECONDS = 60.0


async def until(condition: Callable[[], Any], what: str = "") -> None:
    async with asyncio.timeout(_WITHIN_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)
    assert condition(), what


class Client:
    """Keeps the frames that it has taken; while it is blocked it takes none."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self._is_reading = asyncio.Event()
        self._is_reading.set()
        self.follower: Follower

    async def send(self, frame: Frame) -> None:
        await self._is_reading.wait()
        self.frames.append(frame.as_dict())

    @property
    def is_reading(self) -> bool:
        return self._is_reading.is_set()

    def block(self) -> None:
        self._is_reading.clear()

    def release(self) -> None:
        self._is_reading.set()

    async def follow(self, kind: str, operation: Operation | None = None, after: int | None = None) -> bool:
        return await self.follower.subscribe(target(kind, operation), after)

    def named(self, type: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == type]

    def told(self, operation: Operation | None = None) -> list[int]:
        """The sequences of the events, in the order in which they came."""
        events = [frame["event"] for frame in self.named("event")]
        wanted = [event for event in events if operation is None or event["operation"] == str(operation.pk)]
        return [event["sequence"] for event in wanted]


class World:
    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self.clients: list[Client] = []
        self._tasks: list[asyncio.Task[Any]] = []
        #: What the publisher had to say, and nobody has heard yet.
        self.hints: list[Hint] = []

    async def ask(self, query: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: query(*args, **options))

    async def client(self, user: Any) -> Client:
        client = Client()
        client.follower = Follower(await read(Rights.of, user), client.send)
        client.follower.start()
        self.clients.append(client)
        return client

    async def operation(self, owner: Any, *, root: Operation | None = None) -> Operation:
        operation: Operation = (await self.ask(submission.submit, "probe.counts", {"to": 1}, owner)).operation
        if root is not None:
            operation.parent_id = operation.root_id = root.pk
            await self.ask(operation.save)
        return operation

    async def append(self, operation: Operation, kind: str, count: int = 1) -> None:
        """Events that nobody hears of yet."""
        await self.ask(journal.append, operation.pk, [(kind, {"number": number}) for number in range(count)])

    async def tell(self, operation: Operation, kind: str, count: int = 1) -> None:
        """Events, and their hint."""
        await self.append(operation, kind, count)
        await self.hear()

    async def hear(self) -> None:
        """All hints come, and what they bring is handed on."""
        hub().hear(self.hints)
        self.hints.clear()
        await until(lambda: not hub()._due, "the hub has read what is new")

    async def poll(self) -> None:
        """The floor poll has its turn."""
        await until(lambda: all(task.done() for task in self._tasks), "who asked is answered")
        hub().hear(await read(hub()._interest().recent, 60.0))
        await self.hear()

    def later(self, asked: Coroutine[Any, Any, Any]) -> None:
        self._tasks.append(asyncio.create_task(asked))

    async def settle(self) -> None:
        """Until nothing is left to be told to anybody."""
        await self.hear()
        await until(lambda: not any(is_busy(client.follower) for client in self.clients), "all has been told")

    async def stop(self) -> None:
        for client in self.clients:
            client.release()
            await client.follower.stop()
        for task in hub()._tasks:
            task.cancel()
        await asyncio.gather(*hub()._tasks, return_exceptions=True)

    async def stored(self, operation: Operation) -> dict[int, tuple[str, Any]]:
        def rows() -> dict[int, tuple[str, Any]]:
            found = Event.objects.filter(operation=operation).values_list("sequence", "kind", "data")
            return {sequence: (kind, data) for sequence, kind, data in found}

        return await self.ask(rows)


def is_busy(follower: Follower) -> bool:
    return bool(follower._backlog or follower._joins or follower._behind)


def target(kind: str, operation: Operation | None = None) -> Target:
    return Target(kind, str(operation.pk) if operation is not None else "")


async def _silence() -> Any:
    await asyncio.Event().wait()
    yield []


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """One for the readers, one for the writer; their connections are closed at the end, or the database stays."""
    with (
        ThreadPoolExecutor(1, "test-writer") as writer,
        ThreadPoolExecutor(1, "test-reader") as reader,
        mock.patch.object(records, "_readers", reader),
    ):
        try:
            yield writer
        finally:
            for pool in (writer, reader):
                pool.submit(lambda: connection.close()).result()


def run(scene: Callable[[World], Awaitable[None]]) -> None:
    """Let the scene happen in a world of its own."""

    async def play(world: World) -> None:
        try:
            await scene(world)
        finally:
            await world.stop()

    with threads() as writer:
        world = World(writer)
        with (
            mock.patch.object(publisher, "publish", world.hints.append),
            mock.patch.object(publisher, "hints", _silence),
        ):
            asyncio.run(play(world))


def played(scene: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test whose first argument is the world in which it happens."""

    def test(**fixtures: Any) -> None:
        run(lambda world: scene(world, **fixtures))

    test.__name__, test.__doc__ = scene.__name__, scene.__doc__
    test.pytestmark = getattr(scene, "pytestmark", [])  # type: ignore[attr-defined]
    wanted = list(inspect.signature(scene).parameters.values())[1:]
    test.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in wanted]
    )
    return test


def user(name: str) -> Any:
    return get_user_model().objects.get(username=name)
