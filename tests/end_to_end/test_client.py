"""The Python client against the whole system, which is killed under it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from lro.client import AsyncClient, Client, Event, Operation, OperationFailed, Problem, SignedOut, sync_driver
from lro.models import Event as StoredEvent
from tests.end_to_end.stack import ALIAS, PASSWORD, ROOT, Stack
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def lro(drained: Stack) -> Iterator[Client]:
    with Client(drained.url, username="demo", password=PASSWORD) as client:
        yield client


def stored(identifier: str, after: int = 0) -> list[tuple[int, str]]:
    rows = StoredEvent.objects.using(ALIAS).filter(operation_id=identifier, sequence__gt=after)
    return list(rows.values_list("sequence", "kind"))


def told(events: list[Event]) -> list[tuple[int, str]]:
    """Each event that was delivered, and the merged progress events that it stands for."""
    merged = [
        [(event.sequence - n, "progress") for n in range(event.merged, 0, -1)] + [(event.sequence, event.kind)]
        for event in events
    ]
    return [pair for pairs in merged for pair in pairs]


def test_it_starts_follows_and_reads(drained: Stack, lro: Client) -> None:
    operation = lro.start("probe.saves", {"to": 30, "seconds_each": 0.02})
    events = list(lro.follow(operation.id))
    assert told(events) == stored(operation.id)
    assert lro.get(operation.id).raise_for_state().result == {"saved": 30}
    assert [event.sequence for event in lro.events(operation.id, after=3)] == [event.sequence for event in events][3:]
    assert [reject.position for reject in lro.rejects(operation.id)] == list(range(30))
    assert operation.id in [found.id for found in lro.list(name="probe.saves", limit=1)]


def test_who_comes_late_is_told_everything_and_who_knows_everything_nothing(drained: Stack, lro: Client) -> None:
    operation = lro.start("probe.counts", {"to": 5})
    drained.await_end(operation.id)
    events = list(lro.follow(operation.id))
    assert told(events) == stored(operation.id)
    assert told(list(lro.follow(operation.id, after=2))) == stored(operation.id, after=2)
    assert list(lro.follow(operation.id, after=events[-1].sequence)) == []
    assert [state.state for state in lro.watch(operation.id)] == ["succeeded"]


def test_it_controls(drained: Stack, lro: Client) -> None:
    operation = lro.start("probe.saves", {"to": 5000, "seconds_each": 0.01})
    drained.await_progress(operation.id, 0.1)
    lro.pause(operation.id)
    assert next(state for state in lro.watch(operation.id) if state.state == "paused")
    assert lro.resume(operation.id).state in ("queued", "running")
    lro.cancel(operation.id)
    assert lro.wait(operation.id, timeout=60).state == "cancelled"
    assert lro.retry(operation.id).attempt >= 1
    lro.cancel(operation.id)
    lro.wait(operation.id, timeout=60)
    lro.delete(operation.id)
    with pytest.raises(Problem) as gone:
        lro.get(operation.id)
    assert (gone.value.status, gone.value.code) == (404, "not_found")


def test_a_failure_is_an_operation_that_raises_when_it_is_asked(lro: Client) -> None:
    operation = lro.wait(lro.start("probe.fails", {}).id, timeout=60)
    with pytest.raises(OperationFailed, match="never going to work") as failed:
        operation.raise_for_state()
    assert (failed.value.code, failed.value.operation.state) == ("no_luck", "failed")


def test_a_wait_ends_at_its_time(lro: Client) -> None:
    operation = lro.start("probe.counts", {"to": 100_000, "seconds_each": 0.1})
    with pytest.raises(TimeoutError, match=r"1\.5 seconds"):
        lro.wait(operation.id, timeout=1.5)
    lro.cancel(operation.id)
    lro.wait(operation.id, timeout=60)


def test_a_key_starts_one_operation(lro: Client) -> None:
    one, other = (lro.start("probe.counts", {"to": 1}, idempotency_key="client-key") for _ in range(2))
    assert one.id == other.id
    lro.wait(one.id, timeout=60)


def test_bad_input_is_a_problem_with_its_places(lro: Client) -> None:
    with pytest.raises(Problem) as refused:
        lro.start("probe.counts", {"to": "many"})
    assert refused.value.status == 400
    assert refused.value.errors[0]["pointer"] == "/to"


def test_files_go_out_and_come_back(lro: Client, drained: Stack, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text("name,age\nAda,36\nBob,41\nCy\n")
    imported = lro.wait(lro.start("uploads.import", files={"file": table}).id, timeout=60).raise_for_state()
    assert (imported.result["rows"], imported.rejected) == (2, 1)
    diary = str(tmp_path / "diary")
    littering = lro.wait(lro.start("probe.litters", {"diary": diary}).id, timeout=60).raise_for_state()
    (artifact,) = lro.artifacts(littering.id)
    path = lro.download(artifact, tmp_path)
    assert path == tmp_path / "report.txt"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256
    assert list(tmp_path.glob(".*.part")) == []


def test_what_is_anothers_does_not_exist(drained: Stack, lro: Client) -> None:
    operation = lro.start("probe.counts", {"to": 1})
    drained.await_end(operation.id)
    with Client(drained.url, username="other", password=PASSWORD) as other:
        for ask in (other.get, other.wait, other.cancel, lambda key: list(other.follow(key))):
            with pytest.raises(Problem) as refused:
                ask(operation.id)
            assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_a_wrong_password_is_signed_out(drained: Stack) -> None:
    with Client(drained.url, username="demo", password="wrong") as client, pytest.raises(SignedOut):
        client.get("0198f3c2-0000-7000-8000-000000000001")


def test_a_killed_server_is_not_noticed(drained: Stack, lro: Client) -> None:
    operation = lro.start("probe.saves", {"to": 300, "seconds_each": 0.02})
    events: list[Event] = []
    for event in lro.follow(operation.id):
        events.append(event)
        if len(events) in (20, 60):
            drained.kill_web(operation.id)
    assert told(events) == stored(operation.id)
    assert events[-1].kind == "succeeded"


def test_a_start_is_repeated_until_the_server_is_back_and_starts_one(drained: Stack, lro: Client) -> None:
    lro.wait(lro.start("probe.counts", {"to": 1}).id)
    before = {found.id for found in lro.list(name="probe.flaky")}
    drained.kill_web("")
    operation = lro.start("probe.flaky", {"succeeds_at": 1})
    assert lro.wait(operation.id, timeout=60).state == "succeeded"
    assert {found.id for found in lro.list(name="probe.flaky")} - before == {operation.id}


def test_without_a_socket_it_polls_and_comes_back_to_live(
    drained: Stack, lro: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, opened = sync_driver.connect, []

    def unlucky(*args: Any, **options: Any) -> Any:
        opened.append(len(opened) < 4 and "refused")
        if opened[-1]:
            raise ConnectionRefusedError
        drained.gate.hold_at(101)
        return connect(*args, **options)

    monkeypatch.setattr(sync_driver, "connect", unlucky)
    live: list[bool] = []
    with drained.gate.holding_at(50):
        operation = lro.start("probe.saves", {"to": 60})
        events = [(event, live.append(not opened[-1]))[0] for event in lro.follow(operation.id)]
    assert told(events) == stored(operation.id)
    assert (live[0], live[-1]) == (False, True)


def test_an_iterator_that_is_left_leaves_no_socket(lro: Client) -> None:
    operation = lro.start("probe.counts", {"to": 1})
    before = set(threading.enumerate())
    following = lro.follow(operation.id, until_done=False)
    next(following)
    threads = set(threading.enumerate()) - before
    assert threads
    del following
    until(lambda: not any(thread.is_alive() for thread in threads), what="the socket's thread has ended")
    lro.wait(operation.id, timeout=60)


def short_lived(token: str, seconds: float, key: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**claims, "exp": int(time.time() + seconds)}, key, algorithm="HS256")


def test_an_expired_token_is_not_noticed(drained: Stack) -> None:
    account = {"username": "demo", "password": PASSWORD}
    pair = httpx.post(f"{drained.url}/auth/token/", json=account, timeout=60).json()
    key = signing_key(drained)
    with Client(drained.url, token=short_lived(pair["access"], 4, key), refresh=pair["refresh"]) as client:
        operation = client.start("probe.saves", {"to": 150, "seconds_each": 0.03})
        events = list(client.follow(operation.id))
        assert told(events) == stored(operation.id)


def test_a_token_that_cannot_be_renewed_ends_it_when_it_expires(drained: Stack, lro: Client) -> None:
    with drained.gate.holding_at(50):
        operation = lro.start("probe.saves", {"to": 10})
        with Client(drained.url, token=drained.brief_token(5)) as client, pytest.raises(SignedOut):
            list(client.follow(operation.id))
    drained.await_end(operation.id)


def signing_key(stack: Stack) -> str:
    """The key with which this stack signs its tokens."""
    secret = (stack.folder / "data" / "secret_key").read_text().strip()
    return hmac.new(secret.encode(), b"jwt signing key", hashlib.sha256).hexdigest()


def test_on_an_event_loop_it_is_the_same(drained: Stack) -> None:
    events, states, ended = asyncio.run(many(drained))
    assert told(events) == stored(ended.id)
    assert states[-1] == ended
    assert ended.result == {"saved": 200}
    assert [state.sequence for state in states] == sorted({state.sequence for state in states})


async def many(stack: Stack) -> tuple[list[Event], list[Operation], Operation]:
    async with AsyncClient(stack.url, username="demo", password=PASSWORD) as client:
        operation = await client.start("probe.saves", {"to": 200, "seconds_each": 0.02})
        watching = asyncio.create_task(collect(client.watch(operation.id)))
        waiting = asyncio.create_task(client.wait(operation.id, timeout=90))
        events: list[Event] = []
        async with aclosing(client.follow(operation.id)) as following:  # type: ignore[type-var]
            async for event in following:
                events.append(event)
                if len(events) == 30:
                    stack.kill_web(operation.id)
        return events, await watching, await waiting


async def collect(values: Any) -> list[Any]:
    return [value async for value in values]


def test_on_an_event_loop_several_operations_share_a_socket(drained: Stack) -> None:
    async def followed() -> tuple[list[str], list[Event]]:
        async with AsyncClient(drained.url, username="demo", password=PASSWORD) as client:
            ids = [(await client.start("probe.counts", {"to": 20, "seconds_each": 0.02})).id for _ in range(4)]
            return ids, await collect(client.follow(*ids))

    ids, events = asyncio.run(followed())
    for identifier in ids:
        assert told([event for event in events if event.operation == identifier]) == stored(identifier)


def test_it_ends_when_the_operation_is_deleted(drained: Stack, lro: Client) -> None:
    operation = lro.wait(lro.start("probe.counts", {"to": 1}).id, timeout=60)
    following = lro.follow(operation.id, until_done=False)
    until(lambda: next(following).is_terminal, what="the last stored event", every=0)
    lro.delete(operation.id)
    drained.kill_web(operation.id)
    with pytest.raises(Problem, match="not_found"):
        list(following)


def test_the_examples_of_the_documentation_run(drained: Stack, tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text("name,age\nAda,36\nBob,41\nCy\n")
    page = (ROOT / "docs" / "clients.md").read_text().split("## Python", 1)[1].split("\n## ", 1)[0]
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        program = example.replace("http://localhost:8000", drained.url).replace("…", PASSWORD)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-W", "error", "-c", program]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert "'rows': 2" in done.stdout, done.stderr
