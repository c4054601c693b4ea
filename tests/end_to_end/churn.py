"""Followers that come and go while operations run and the broker is killed: `make churn`.

Each follows one operation after another over a WebSocket, cuts its connection at random moments, and resumes by its
last sequence. In the end each log must be the table's, and the web process must have let go of all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

SETTINGS = {"SOCKET_FRAMES_PER_MINUTE": 100_000, "MAX_ACTIVE_PER_OWNER": 0}
#: What a web process may still hold, of the memory that its followers took, when they are gone: caches and arenas.
_LEFT_MIB = 60.0


class Wanderer:
    """Follows one operation after another; `heard` keeps what it was told of each."""

    def __init__(self, stack: Any, token: str, seed: int) -> None:
        self._stack, self._token, self.chance = stack, token, random.Random(seed)
        self.heard: dict[str, list[tuple[int, str]]] = {}
        self.connections = 0

    async def follow(self, operation: str) -> None:
        log = self.heard.setdefault(operation, [])
        while not (log and log[-1][1] == "succeeded"):
            try:
                async with asyncio.timeout(120):
                    await self._listen(operation, log)
            except (OSError, WebSocketException):
                await asyncio.sleep(self.chance.uniform(0.05, 0.5))

    async def _listen(self, operation: str, log: list[tuple[int, str]]) -> None:
        address = f"ws://127.0.0.1:{self._stack.port}/ws/operations/"
        protocols: Any = ["lro.v1", f"bearer.{self._token}"]
        async with connect(address, subprotocols=protocols, proxy=None, open_timeout=20) as socket:
            self.connections += 1
            after = log[-1][0] if log else 0
            await socket.send(json.dumps({"type": "subscribe", "operation": operation, "after": after}))
            leaves_at = time.monotonic() + self.chance.expovariate(1 / 4)
            while time.monotonic() < leaves_at and not (log and log[-1][1] == "succeeded"):
                try:
                    async with asyncio.timeout(max(0.01, leaves_at - time.monotonic())):
                        frame = json.loads(await socket.recv())
                except TimeoutError:
                    break
                self._hear(frame, log)
            if self.chance.random() < 0.5:
                _cut(socket)

    def _hear(self, frame: dict[str, Any], log: list[tuple[int, str]]) -> None:
        assert frame["type"] in ("ready", "event", "caught_up"), frame
        if frame["type"] == "event":
            event, merged = frame["event"], frame.get("merged", 0)
            last = log[-1][0] if log else 0
            assert event["sequence"] - merged == last + 1, f"after {last} came {event['sequence']}"
            log += [(sequence, "progress") for sequence in range(last + 1, event["sequence"])]
            log.append((event["sequence"], event["kind"]))


def _cut(socket: ClientConnection) -> None:
    """Without a word, as a lost network does."""
    socket.transport.abort()


async def wander(stack: Any, *, followers: int, seconds: float, kill_every: float, seed: int) -> list[Wanderer]:
    """Let them follow for so long, and then to the end of what they follow."""
    tokens = [stack.token() for _ in range(4)]
    wanderers = [Wanderer(stack, tokens[number % 4], seed + number) for number in range(followers)]
    ends_at = time.monotonic() + seconds
    running: list[str] = []
    feeding = asyncio.create_task(_feed(stack, running, ends_at, seed))
    killing = asyncio.create_task(_kill(stack, ends_at, kill_every))
    await asyncio.gather(*(_wander(wanderer, running, ends_at) for wanderer in wanderers))
    await asyncio.gather(feeding, killing)
    return wanderers


async def _wander(wanderer: Wanderer, running: list[str], ends_at: float) -> None:
    while not running:
        await asyncio.sleep(0.1)
    while time.monotonic() < ends_at:
        await wanderer.follow(wanderer.chance.choice(running[-8:]))


async def _feed(stack: Any, running: list[str], ends_at: float, seed: int) -> None:
    """Start an operation of a few seconds again and again."""
    chance, client = random.Random(seed), stack.client()
    while time.monotonic() < ends_at:
        data = {"to": chance.randint(20, 100), "seconds_each": 0.05}
        answer = await asyncio.to_thread(client.post, "/probe/counts", json=data)
        if answer.status_code == 200:
            running.append(answer.json()["id"])
        await asyncio.sleep(1.5)


async def _kill(stack: Any, ends_at: float, every: float) -> None:
    while (left := ends_at - time.monotonic()) > every:
        await asyncio.sleep(min(every, left))
        os.kill(stack.pid("valkey"), signal.SIGKILL)


def differences(wanderers: list[Wanderer]) -> Iterator[str]:
    """Each log that is not the table's."""
    from lro.models import Event
    from tests.end_to_end.stack import ALIAS

    tables: dict[str, list[tuple[int, str]]] = {}
    for wanderer in wanderers:
        for operation, log in wanderer.heard.items():
            if operation not in tables:
                rows = Event.objects.using(ALIAS).filter(operation_id=operation).order_by("sequence")
                tables[operation] = list(rows.values_list("sequence", "kind"))
            if log != tables[operation]:
                yield f"{operation}: heard {log[-5:]}, stored {tables[operation][-5:]}"


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    return sum(_link(entry).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())


def _link(entry: Path) -> str:
    try:
        return os.readlink(entry)
    except FileNotFoundError:
        return ""


def memory_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def subscriptions(stack: Any) -> int:
    """How many receivers the group of the hints has."""
    import redis

    broker: Any = redis.Redis.from_url(stack.run["redis_url"], socket_timeout=5)
    return sum(count for _, count in broker.pubsub_numsub(*broker.pubsub_channels()))


@contextmanager
def nothing_is_kept(stack: Any) -> Iterator[None]:
    """After the block the web process has as many sockets and subscriptions as before, and little more memory."""
    from tests.waiting import until

    pid = stack.pid("web")
    before, memory = (sockets(pid), subscriptions(stack)), memory_mib(pid)
    yield
    assert stack.pid("web") == pid, "the web process is another one"
    until(lambda: sockets(pid) <= before[0] + 4, within=30, what=f"sockets are closed, as {before} before")
    until(lambda: subscriptions(stack) <= before[1], within=30, what="no subscription is left over")
    until(lambda: memory_mib(pid) - memory < _LEFT_MIB, within=30, what=f"memory is as before, {memory:.0f} MiB")


def warm_up(stack: Any) -> None:
    """The web process has done all of it once."""
    asyncio.run(wander(stack, followers=20, seconds=5, kill_every=60, seed=0))


def main(arguments: list[str]) -> int:
    from lro.testing import assert_consistent
    from tests.end_to_end.stack import ALIAS, running

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--kill-every", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with running("--concurrency", "4", LRO_TEST_SETTINGS=json.dumps(SETTINGS)) as stack:
        warm_up(stack)
        memory = memory_mib(stack.pid("web"))
        with nothing_is_kept(stack):
            wanderers = asyncio.run(wander(stack, **vars(options)))
        found = list(differences(wanderers))
        logs = [log for wanderer in wanderers for log in wanderer.heard.values()]
        connections = sum(wanderer.connections for wanderer in wanderers)
        print(
            f"{options.followers} followers, {connections:,} connections, {len(logs):,} logs of "
            f"{sum(map(len, logs)):,} events: {len(found)} differ from the table. Memory of the web process "
            f"{memory:.0f} MiB before, {memory_mib(stack.pid('web')):.0f} MiB after."
        )
        print("\n".join(found[:20]))
        assert_consistent(ALIAS, files=stack.files)
    return 1 if found else 0


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
