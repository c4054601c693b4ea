"""The Socket.IO server with a client that is played by hand: what the library alone would not bound."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import orjson
import pytest
import socketio
from django.contrib.auth.models import User
from django.utils import timezone
from engineio import json as standard_json

from lro.models import Event
from lro.transports import tokens
from lro.transports.frames import Frame, News
from lro.transports.socketio.namespaces import MOST_WAITING, NAMESPACE
from lro.transports.socketio.packets import event
from lro.transports.socketio.server import Server

CONNECT = '40/operations,{"token":"good"}'
SCOPE = {
    "type": "websocket",
    "path": "/socket.io/",
    "query_string": b"EIO=4&transport=websocket",
    "headers": [(b"upgrade", b"websocket"), (b"connection", b"upgrade")],
}


class Wire:
    """A WebSocket without a network; whoever sends waits while it is not `open`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.said: list[str] = []
        self.is_closed = False
        self.open = asyncio.Event()
        self.open.set()
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect"})
        application: Any = socketio.ASGIApp(server)
        self.task = asyncio.create_task(application(SCOPE, self._incoming.get, self._take))

    async def _take(self, message: dict[str, Any]) -> None:
        await self.open.wait()
        if message["type"] == "websocket.send":
            self.said.append(message["text"])
        elif message["type"] == "websocket.close":
            self.is_closed = True
            self.leave()

    def say(self, packet: str) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", "text": packet})

    def leave(self) -> None:
        self.open.set()
        self._incoming.put_nowait({"type": "websocket.disconnect"})

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        try:
            async with asyncio.timeout(60):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"not {what}: {self.said[-3:]}") from None

    async def enter(self) -> str:
        """The connection's id, once it is in the namespace."""
        before = len(self.said)
        self.say(CONNECT)
        await self.until(lambda: any('"ready"' in packet for packet in self.said[before:]), "ready")
        return str(json.loads(self.said[0][1:])["sid"])


@pytest.fixture(autouse=True)
def everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any token is good, and nothing of it is in a database."""
    user = User(pk=1, username="alice", is_superuser=True)
    monkeypatch.setattr(tokens, "by_token", lambda token: tokens.Identity(user))


async def request(server: Server, method: str, query: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request of a client that polls."""
    answer: list[dict[str, Any]] = []
    headers = [(b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": method, "path": "/socket.io/", "headers": headers}
    query_string = f"EIO=4&transport=polling{query}".encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    await socketio.ASGIApp(server)({**scope, "query_string": query_string}, receive, send)
    return answer[0]["status"], answer[1]["body"]


def play(scene: Callable[[Wire], Coroutine[Any, Any, None]]) -> None:
    """Let the scene run, and see that the server keeps nothing of a client that has gone."""

    async def run() -> None:
        server = Server()
        wire = Wire(server)
        try:
            await scene(wire)
        finally:
            wire.leave()
        await asyncio.wait_for(wire.task, 60)
        await wire.until(lambda: not server.operations._tasks, "at rest")
        assert not server.operations._conversations
        assert not server.environ
        assert not server.manager.rooms
        await server.shutdown()
        gc.collect()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in left if "_send_ping" not in str(task)], left

    asyncio.run(run())


def test_a_frame_goes_out_as_it_was_encoded() -> None:
    frame = Frame("event", {"event": orjson.Fragment(b'{"as":  "it is"}')})
    assert event(frame, NAMESPACE) == '2/operations,["event",{"type":"event","event":{"as":  "it is"}}]'


def test_other_servers_and_clients_of_the_process_keep_their_json() -> None:
    Server()
    assert socketio.packet.Packet.json is standard_json


def test_who_sends_to_a_slow_client_waits_for_it() -> None:
    async def scene(wire: Wire) -> None:
        connection = await wire.enter()
        wire.open.clear()
        before, sent = len(wire.said), 0

        async def send() -> None:
            nonlocal sent
            for number in range(1000):
                await wire.server.operations._send(connection, Frame("event", {"number": number}))
                sent += 1

        sending = asyncio.create_task(send())
        await wire.until(lambda: sent >= MOST_WAITING, "much is waiting")
        await asyncio.sleep(0.2)
        assert sent <= 2 * MOST_WAITING + 1  # what waits, and as many that the writer has taken
        wire.open.set()
        await sending
        await wire.until(lambda: len(wire.said) == before + 1000, "all is said")
        numbers = [json.loads(packet.removeprefix("42/operations,"))[1]["number"] for packet in wire.said[before:]]
        assert numbers == list(range(1000))

    play(scene)


def test_a_follower_that_waits_for_a_client_goes_with_it() -> None:
    async def scene(wire: Wire) -> None:
        connection = await wire.enter()
        wire.open.clear()
        follower = wire.server.operations._conversations[connection]._follower
        assert follower is not None
        common: dict[str, Any] = {"operation_id": uuid4(), "root_id": uuid4(), "kind": "log", "time": timezone.now()}
        events = (Event(sequence=number, **common) for number in range(1, 201))
        follower.take([News(event, None) for event in events], 1)
        waiting = wire.server.eio.sockets[connection].queue
        await wire.until(lambda: waiting.qsize() == MOST_WAITING, "it has sent what it may")
        await asyncio.sleep(0.1)
        assert waiting.qsize() == MOST_WAITING

    play(scene)


def test_who_brings_no_token_is_closed(settings: Any) -> None:
    settings.LRO = {"AUTHENTICATION_SECONDS": 0.2}

    async def scene(wire: Wire) -> None:
        await wire.until(lambda: wire.is_closed, "closed")
        assert wire.said[-1] == "1"

    play(scene)


def test_who_has_left_may_come_back_but_not_stay_outside(settings: Any) -> None:
    settings.LRO = {"AUTHENTICATION_SECONDS": 1.5}

    async def scene(wire: Wire) -> None:
        await wire.enter()
        wire.say("41/operations,")
        await wire.enter()
        await asyncio.sleep(1.7)
        assert not wire.is_closed
        wire.say("41/operations,")
        await wire.until(lambda: wire.is_closed, "closed")

    play(scene)


@pytest.mark.parametrize("packet", ["40/elsewhere,{}", '42/operations,["ping"]', "4x"])
def test_packets_count_before_there_is_a_user(packet: str) -> None:
    async def scene(wire: Wire) -> None:
        for _ in range(300):
            wire.say(packet)
        await wire.until(lambda: wire.is_closed, "closed")
        assert len(wire.said) < 200  # a hundred, and those of the time that this took

    play(scene)


def test_a_client_that_stays_on_after_too_many_packets_is_closed() -> None:
    async def scene(wire: Wire) -> None:
        await wire.enter()
        for _ in range(300):
            wire.say("40/elsewhere,{}")
        await wire.until(lambda: wire.is_closed, "closed")
        assert any('"too_many_frames"' in packet for packet in wire.said)

    play(scene)


def test_who_sends_to_a_client_that_polls_waits_for_it() -> None:
    async def scene(wire: Wire) -> None:
        opened = await request(wire.server, "GET", "")
        connection = json.loads(opened[1][1:])["sid"]
        assert await request(wire.server, "POST", f"&sid={connection}", CONNECT.encode()) == (200, b"OK")
        events = 0

        async def send() -> None:
            for number in range(200):
                await wire.server.operations._send(connection, Frame("event", {"number": number}))

        sending = asyncio.create_task(send())
        while events < 200:
            await asyncio.sleep(0.05)
            _, taken = await request(wire.server, "GET", f"&sid={connection}")
            packets = [packet for packet in taken.decode().split("\x1e") if '"number"' in packet]
            assert 0 < len(packets) <= MOST_WAITING
            events += len(packets)
        await sending
        await wire.server.eio.sockets[connection].close(wait=False)

    play(scene)


def test_a_post_that_is_too_large_is_answered_where_nobody_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lro.transports.socketio.server._POST_SECONDS", 0.2)

    async def scene(wire: Wire) -> None:
        opened = await request(wire.server, "GET", "")
        connection = json.loads(opened[1][1:])["sid"]
        assert (await request(wire.server, "POST", f"&sid={connection}", b"4" + b"x" * 65_536))[0] == 400

    play(scene)
