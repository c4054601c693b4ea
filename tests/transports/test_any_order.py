"""Whatever happens in whatever order, what a client is told is what is stored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lro.models import Operation
from lro.transports import following
from tests.transports.world import Client, World, is_busy, run, until

pytestmark = pytest.mark.slow

OPERATIONS, CLIENTS = 2, 2
_operation, _client = st.integers(0, OPERATIONS - 1), st.integers(0, CLIENTS - 1)
_count = st.sampled_from([1, 1, 1, 2, 3, 20, 300, 2_100])
_append = st.tuples(st.just("append"), _operation, st.sampled_from(["log", "progress"]), _count)
_hear = st.tuples(st.just("hear"), st.randoms(use_true_random=False))
_follow = st.tuples(st.just("follow"), _client, st.sampled_from(["operation", "root", "mine"]), _operation)
_reading = st.tuples(st.sampled_from(["block", "release"]), _client)
ACTS = st.one_of(_append, _append, _hear, _follow, _follow, _reading, st.tuples(st.sampled_from(["begin", "settle"])))


class Story:
    """A few operations of one owner, and their followers: each asks for all from the start, or only for what comes."""

    def __init__(self, world: World, owner: Any) -> None:
        self.world, self._owner = world, owner
        self.operations: list[Operation] = []
        self.clients: list[Client] = []

    async def begin(self) -> None:
        self.operations.append(await self.world.operation(self._owner))

    async def append(self, operation: int, kind: str, count: int) -> None:
        await self.world.append(self.operations[operation], kind, count)

    async def hear(self, chance: Any) -> None:
        """Of the hints that there are some come, in any order and some of them twice; the others are lost."""
        hints = [hint for hint in self.world.hints for _ in range(chance.choice([0, 1, 1, 2]))]
        chance.shuffle(hints)
        self.world.hints[:] = hints
        await self.world.hear()

    async def block(self, client: int) -> None:
        self.clients[client].block()

    async def release(self, client: int) -> None:
        self.clients[client].release()

    async def follow(self, client: int, kind: str, operation: int) -> None:
        """Without waiting, as a client that is blocked is not answered."""
        wanted = self.operations[operation] if kind != "mine" else None
        self.world.later(self.clients[client].follow(kind, wanted, AFTER[client]))

    async def settle(self) -> None:
        """Whoever reads is told all that it asked for."""
        readers = [client for client in self.clients if client.is_reading]
        await until(lambda: not any(is_busy(client.follower) for client in readers), "all has been told")

    async def end(self) -> None:
        """All read again, and the floor poll tells of everything."""
        for client in self.clients:
            client.release()
        await self.world.poll()
        await self.world.settle()


AFTER = [0, None]


async def play(world: World, owner: Any, acts: list[tuple[Any, ...]]) -> None:
    story = Story(world, owner)
    for _ in range(OPERATIONS):
        await story.begin()
    story.clients = [await world.client(owner) for _ in range(CLIENTS)]
    for name, *values in acts:
        await getattr(story, name)(*values)
    await story.end()
    for operation in story.operations:
        stored = await world.stored(operation)
        for client in story.clients:
            assert_told(client.frames, str(operation.pk), stored)
    await world.ask(Operation.objects.all().delete)  # who follows its own must not meet them in the next example


def assert_told(frames: list[dict[str, Any]], operation: str, stored: dict[int, tuple[str, Any]]) -> None:
    """From where it was first told of the operation, it was told all, once and in order, or why not."""
    reached: int | None = None
    for place, frame in enumerate(frames):
        if frame["type"] == "gap" and frame["operation"] == operation:
            assert frame["after"] == reached
            assert frames[place + 1]["operation"]["sequence"] == frame["sequence"]
            reached = frame["sequence"]
        elif frame["type"] == "snapshot" and frame["operation"]["id"] == operation and reached is None:
            reached = frame["operation"]["sequence"]
        elif frame["type"] == "event" and frame["event"]["operation"] == operation:
            event, merged = frame["event"], frame.get("merged", 0)
            assert event["sequence"] == (reached or 0) + merged + 1
            reached = event["sequence"]
            assert (event["kind"], event["data"]) == stored[reached]
            assert {stored[reached - back][0] for back in range(merged + 1)} == {"progress"} or not merged
    assert reached in (None, max(stored))


@pytest.mark.django_db(transaction=True)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, print_blob=True)
@given(acts=st.lists(ACTS, min_size=6, max_size=20))
def test_a_client_is_told_what_is_stored(alice: Any, quiet: None, acts: list[tuple[Any, ...]]) -> None:
    run(lambda world: play(world, alice, acts))


@pytest.fixture
def quiet(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LRO = {**settings.LRO, "FLOOR_POLL_SECONDS": 3600.0}
    monkeypatch.setattr(following, "_PATIENCE_SECONDS", 0.0)
