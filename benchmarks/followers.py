"""Thousands of followers on one web process, beside the usual way with Channels: `make bench`.

All sockets are open; so many of them follow one operation that tells something ten times a second. What is measured
is the time from an event's own time to its arrival, the processor time of the web process for each delivery, and the
memory that an idle client takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.sockets import Socket, open_socket

_AT_ONCE = 50
_MARK = b'"time":"'


class Figures(NamedTuple):
    deliveries: int
    expected: int
    p50_ms: float
    p99_ms: float
    cpu_us: float
    idle_kib: float
    connect_seconds: float


class Ears:
    """Counts what arrives, and how late."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.caught_up = 0

    def hear(self, payload: bytes) -> None:
        self.caught_up += b'"type":"caught_up"' in payload
        at = payload.find(_MARK)
        if at > 0 and b'"kind":"log"' in payload:
            self.delays.append(time.time() - _moment(payload[at + len(_MARK) : payload.index(b'"', at + len(_MARK))]))


@cache
def _moment(text: bytes) -> float:
    return datetime.fromisoformat(text.decode()).timestamp()


async def measure(
    pid: int,
    connect: Callable[[Ears, bool], Any],
    tell: Callable[[], Any],
    *,
    sockets: int,
    on_one: int,
    events: int,
    is_told: bool,
) -> Figures:
    """Open the sockets, let `on_one` of them follow, let `tell` emit the events, and wait for the last."""
    ears, opened = Ears(), []
    before, began = _memory_kib(pid), time.monotonic()
    for start in range(0, sockets, _AT_ONCE):
        group = range(start, min(sockets, start + _AT_ONCE))
        opened += await asyncio.gather(*(connect(ears, number < on_one) for number in group))
    while is_told and ears.caught_up < on_one:
        await asyncio.sleep(0.1)
    connect_seconds = time.monotonic() - began
    await asyncio.sleep(1)
    idle = (_memory_kib(pid) - before) / sockets
    cpu = _cpu_seconds(pid)
    await tell()
    deadline = time.monotonic() + 30
    while len(ears.delays) < events * on_one and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    cpu = _cpu_seconds(pid) - cpu
    delays = sorted(ears.delays)
    assert not any(socket.is_closed for socket in opened), "a socket was closed"
    for socket in opened:
        socket.close()
    return Figures(
        len(delays),
        events * on_one,
        1000 * median(delays),
        1000 * delays[int(len(delays) * 0.99)],
        1e6 * cpu / len(delays),
        idle,
        connect_seconds,
    )


def _memory_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ours(stack: Any, options: argparse.Namespace) -> Figures:
    token, client = stack.token(), stack.client()
    data = {"events": options.events, "per_second": options.per_second, "starts_by": str(stack.folder / "go")}
    identifier = client.post("/probe/tells", json=data).json()["id"]

    async def connect(ears: Ears, follows: bool) -> Socket:
        socket = await open_socket(stack.port, "/ws/operations/", ["lro.v1", f"bearer.{token}"], ears.hear)
        if follows:
            socket.send(json.dumps({"type": "subscribe", "operation": identifier}))
        return socket

    async def tell() -> None:
        (stack.folder / "go").touch()
        await asyncio.to_thread(stack.await_end, identifier)

    sizes = {"sockets": options.sockets, "on_one": options.on_one, "events": options.events}
    figures = await measure(stack.pid("web"), connect, tell, **sizes, is_told=True)
    (stack.folder / "go").unlink()
    return figures


async def usual(stack: Any, port: int, pid: int, options: argparse.Namespace) -> Figures:
    from channels_redis.pubsub import RedisPubSubChannelLayer

    from benchmarks.usual_way import GROUP

    layer: Any = RedisPubSubChannelLayer(hosts=[{"address": stack.run["redis_url"]}], prefix="lro")

    async def connect(ears: Ears, follows: bool) -> Socket:
        return await open_socket(port, "/ws/", [], ears.hear)

    async def tell() -> None:
        for number in range(options.events):
            event = {
                "operation": "0198f3c2-0000-7000-8000-000000000001",
                "root": "0198f3c2-0000-7000-8000-000000000001",
                "sequence": number,
                "kind": "log",
                "attempt": 1,
                "time": datetime.now().astimezone().isoformat(),
                "data": {"message": f"line {number}"},
            }
            await layer.group_send(GROUP, {"type": "operation.event", "event": event})
            await asyncio.sleep(1 / options.per_second)

    sizes = {"sockets": options.on_one, "on_one": options.on_one, "events": options.events}  # all would hear all
    return await measure(pid, connect, tell, **sizes, is_told=False)


def main(arguments: list[str]) -> int:
    from tests.end_to_end.stack import free_port, running

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=3000)
    parser.add_argument("--on-one", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--per-second", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    rows: dict[str, list[Figures]] = {"LRO": [], "the usual way": []}
    with ExitStack() as exits:
        stack = exits.enter_context(running())
        port = free_port()
        process = _usual_server(stack, port)
        exits.callback(process.kill)
        for _ in range(options.runs):
            rows["LRO"].append(asyncio.run(ours(stack, options)))
            rows["the usual way"].append(asyncio.run(usual(stack, port, process.pid, options)))
    _print(rows, options)
    return 0 if all(run.deliveries == run.expected for run in rows["LRO"]) else 1


def _usual_server(stack: Any, port: int) -> subprocess.Popen[bytes]:
    from tests.waiting import until

    command = [sys.executable, "-m", "config.web", "127.0.0.1", str(port), "benchmarks.usual_way:application"]
    process = subprocess.Popen(command, env=stack.environment | {"REDIS_URL": stack.run["redis_url"]})
    until(lambda: _answers(port), within=30, what="the usual way answers")
    return process


def _answers(port: int) -> bool:
    from config.addresses import answers

    return answers("127.0.0.1", port)


def _print(rows: dict[str, list[Figures]], options: argparse.Namespace) -> None:
    print(
        f"{options.on_one:,} followers of one operation, {options.per_second:g} events a second; "
        f"{options.sockets:,} sockets open with LRO, only the followers the usual way; medians of {options.runs}\n"
    )
    columns = ["", "delivered", "p50", "p99", "CPU a delivery", "memory an idle client", "connecting"]
    print(f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", sep="\n")
    for name, runs in rows.items():
        middle = Figures(*(median(values) for values in zip(*runs, strict=True)))
        print(
            f"| {name} | {middle.deliveries:,.0f} of {middle.expected:,.0f} | {middle.p50_ms:.0f} ms | "
            f"{middle.p99_ms:.0f} ms | {middle.cpu_us:.1f} µs | {middle.idle_kib:.0f} KiB | "
            f"{middle.connect_seconds:.1f} s |"
        )
    ratios = [ours.cpu_us / usual.cpu_us for ours, usual in zip(*rows.values(), strict=True)]
    print(f"\nCPU a delivery, ratio run by run: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django
    import uvloop

    django.setup()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    sys.exit(main(sys.argv[1:]))
