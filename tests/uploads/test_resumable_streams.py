"""Bytes that arrive while others do, or stop arriving: what counts, and who may go on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import stat
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.db import connection, connections
from rest_framework_simplejwt.tokens import AccessToken

from lro import Problem
from tests.uploads.tus_client import MEDIA_TYPE, TusClient
from uploads import appending, bodies, resumable_views
from uploads.bodies import SILENCE_SECONDS, leave_body
from uploads.models import ResumableUpload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked", "brief_connections")]

CONTENT = random.Random(7).randbytes(40_000)


@pytest.fixture
def brief_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of each request closes its connection to the database when it ends."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


@pytest.fixture
def client(alice: Any) -> TusClient:
    return TusClient(alice)


@pytest.fixture
def call(alice: Any) -> Callable[..., Call]:
    token = str(AccessToken.for_user(alice))
    return lambda method, address, **headers: Call(token, method, address, headers)


class Call:
    """One request on the event loop, whose body comes as the test says."""

    def __init__(self, token: str, method: str, address: str, headers: dict[str, Any]) -> None:
        told = {
            "Host": "localhost",
            "Authorization": f"Bearer {token}",
            "Tus-Resumable": "1.0.0",
            "Content-Type": MEDIA_TYPE,
            **headers,
        }
        encoded = [(name.replace("_", "-").lower().encode(), str(value).encode()) for name, value in told.items()]
        self._scope = {"type": "http", "method": method, "path": address, "query_string": b"", "headers": encoded}
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.status = 0
        self.headers: dict[str, str] = {}

    def __enter__(self) -> Call:
        application = leave_body(get_asgi_application(), others=_nowhere)
        self.task = asyncio.create_task(application(self._scope, self._messages.get, self._hear))
        return self

    def __exit__(self, *error: object) -> None:
        self.task.cancel()

    async def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}

    def feed(self, content: bytes, *, is_last: bool = False) -> None:
        self._messages.put_nowait({"type": "http.request", "body": content, "more_body": not is_last})

    def cut(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    async def answer(self) -> int:
        async with asyncio.timeout(60):
            await self.task
        return self.status


async def _nowhere(*_: Any) -> None:
    raise AssertionError("not an address of resumable uploads")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def row(address: str) -> ResumableUpload:
    return ResumableUpload.objects.get(pk=address.rsplit("/", 1)[1])


async def reached(address: str, offset: int) -> None:
    def is_reached() -> bool:
        try:
            return row(address).offset >= offset
        finally:
            connection.close()

    async with asyncio.timeout(60):
        while not await sync_to_async(is_reached)():
            await asyncio.sleep(0.02)


def test_what_came_before_a_cut_is_kept(client: TusClient, call: Callable[..., Call]) -> None:
    address = client.created(len(CONTENT))

    async def test() -> None:
        with call("PATCH", address, Upload_Offset=0, Content_Length=len(CONTENT)) as sender:
            sender.feed(CONTENT[:12_345])
            sender.cut()
            await sender.answer()

    run(test())
    assert client.offset(address) == 12_345
    client.patch(address, 12_345, CONTENT[12_345:])
    assert row(address).path.read_bytes() == CONTENT


def test_bytes_that_trickle_count_while_more_are_awaited(
    client: TusClient, call: Callable[..., Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SILENCE_SECONDS", 0.1)
    address = client.created(len(CONTENT))

    async def test() -> None:
        with call("PATCH", address, Upload_Offset=0) as sender:
            for offset in (100, 200, 300):
                sender.feed(CONTENT[offset - 100 : offset])
                await reached(address, offset)
            sender.feed(CONTENT[300:], is_last=True)
            assert await sender.answer() == 204

    run(test())
    assert row(address).path.read_bytes() == CONTENT


def test_nothing_of_a_cut_request_counts_where_it_has_a_checksum(client: TusClient, call: Callable[..., Call]) -> None:
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:100])

    async def test() -> None:
        checksum = "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk="
        with call("PATCH", address, Upload_Offset=100, Upload_Checksum=checksum) as sender:
            sender.feed(CONTENT[100:12_345])
            await asyncio.sleep(0)
            sender.cut()
            assert await sender.answer() == 400

    run(test())
    assert client.offset(address) == 100
    client.patch(address, 100, CONTENT[100:])
    assert row(address).sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("seed", range(6))
def test_of_two_requests_at_one_offset_exactly_one_succeeds_and_no_byte_is_mixed(
    client: TusClient, call: Callable[..., Call], seed: int
) -> None:
    address = client.created(len(CONTENT))
    chance = random.Random(seed)
    contents = [CONTENT, CONTENT[::-1]]

    async def send(number: int) -> int:
        with call("PATCH", address, Upload_Offset=0) as sender:
            for start in range(0, len(CONTENT), 4_000):
                await asyncio.sleep(chance.random() / 50)
                sender.feed(contents[number][start : start + 4_000], is_last=start + 4_000 == len(CONTENT))
            return await sender.answer()

    answers: list[int] = []

    async def test() -> None:
        answers.extend(await asyncio.gather(send(0), send(1)))

    run(test())
    assert sorted(answers) in ([204, 409], [204, 423])
    assert row(address).path.read_bytes() == contents[answers.index(204)]


def test_who_asks_for_the_offset_gets_the_turn_of_a_connection_that_is_silent(
    client: TusClient, call: Callable[..., Call]
) -> None:
    address = client.created(len(CONTENT))

    async def test() -> None:
        with call("PATCH", address, Upload_Offset=0) as lost:
            lost.feed(CONTENT[:100])
            await reached(address, 100)
            with call("HEAD", address) as asking:
                assert await asking.answer() == 200
            assert asking.headers["upload-offset"] == "100"
            assert await lost.answer() == 423
            lost.feed(b"late" * 100, is_last=True)
        with call("PATCH", address, Upload_Offset=100) as sender:
            sender.feed(CONTENT[100:], is_last=True)
            assert await sender.answer() == 204

    run(test())
    assert row(address).path.read_bytes() == CONTENT


def test_who_asks_for_the_offset_does_not_disturb_a_connection_that_sends(
    client: TusClient, call: Callable[..., Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_views, "_WAIT_SECONDS", 0.5)
    address = client.created(len(CONTENT))

    async def test() -> None:
        with call("PATCH", address, Upload_Offset=0) as sender, call("HEAD", address) as asking:
            for start in range(0, 20_000, 400):
                sender.feed(CONTENT[start : start + 400])
                await asyncio.sleep(0.02)
            assert await asking.answer() == 200
            await reached(address, 20_000)
            await asyncio.sleep(3 * SILENCE_SECONDS)  # who had asked before is gone
            sender.feed(CONTENT[20_000:], is_last=True)
            assert await sender.answer() == 204

    run(test())
    assert row(address).path.read_bytes() == CONTENT


def test_bytes_do_not_count_where_others_were_counted_meanwhile(client: TusClient) -> None:
    address = client.created(len(CONTENT))
    turn = appending.take_turn(row(address))
    assert turn is not None
    with closing(turn):
        turn.begin(0, length=None, size=None, checksum=None)
        turn.append(CONTENT[:100])
        ResumableUpload.objects.update(offset=50)  # by a machine that does not see the lock
        with pytest.raises(Problem) as refused:
            turn.end(is_whole=True)
    assert (refused.value.status, client.offset(address)) == (423, 50)


def test_an_upload_that_is_given_up_while_it_is_sent_leaves_nothing(
    client: TusClient, call: Callable[..., Call], files: Path
) -> None:
    address = client.created(len(CONTENT))

    async def test() -> None:
        with call("PATCH", address, Upload_Offset=0) as sender, call("DELETE", address) as giving_up:
            sender.feed(CONTENT[:100])
            assert await giving_up.answer() == 204
            sender.feed(CONTENT[100:], is_last=True)
            assert await sender.answer() == 404

    run(test())
    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_more_bytes_than_were_announced_do_not_count(client: TusClient, call: Callable[..., Call]) -> None:
    address = client.created(len(CONTENT))

    async def test() -> None:
        with call("PATCH", address, Upload_Offset=0) as sender:
            sender.feed(CONTENT[:100])
            await reached(address, 100)
            sender.feed(CONTENT, is_last=True)
            assert await sender.answer() == 413

    run(test())
    assert client.offset(address) == 100


def test_a_connection_on_which_nothing_comes_is_given_up(
    client: TusClient, call: Callable[..., Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "PATIENCE_SECONDS", 0.1)
    address = client.created(len(CONTENT))

    async def test() -> None:
        with call("PATCH", address, Upload_Offset=0) as sender:
            sender.feed(CONTENT[:100])
            assert await sender.answer() == 408

    run(test())
    assert client.offset(address) == 100


def test_bytes_are_on_the_disk_before_they_count(client: TusClient, monkeypatch: pytest.MonkeyPatch) -> None:
    address = client.created(len(CONTENT))
    seen: list[tuple[int, int]] = []
    sync = os.fsync

    def watched(file: int) -> None:
        if stat.S_ISREG(os.fstat(file).st_mode):  # and not the folder
            seen.append((os.fstat(file).st_size, row(address).offset))
        sync(file)

    monkeypatch.setattr("os.fsync", watched)
    client.patch(address, 0, CONTENT[:100])
    client.patch(address, 100, CONTENT[100:])
    assert seen == [(100, 0), (len(CONTENT), 100)]


@pytest.mark.parametrize("instant", ["os.ftruncate", "os.pwrite", "os.fsync", "uploads.resumable.expiry"])
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_request_that_is_killed_at_any_instant_can_be_sent_again(
    client: TusClient, monkeypatch: pytest.MonkeyPatch, instant: str, is_after: bool
) -> None:
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:100])
    module, _, name = instant.rpartition(".")
    real = getattr(os if module == "os" else __import__(module, fromlist=[name]), name)

    def dies(*given: Any) -> None:
        if is_after:
            real(*given)
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(instant, dies)
        with pytest.raises(RuntimeError):
            client.patch(address, 100, b"half" * 100)
    offset = client.offset(address)
    assert offset == 100
    client.patch(address, offset, CONTENT[offset:])
    assert row(address).path.read_bytes() == CONTENT
