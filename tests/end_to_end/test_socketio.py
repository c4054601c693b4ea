"""The namespace `/operations`, by the real `socket.io-client` over each of its transports."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import psutil
import pytest
from django.contrib.auth import get_user_model
from websockets.sync.client import connect

from config.data_directory import DataDirectory
from lro.models import Event
from lro.transports import payloads
from tests.end_to_end.fuzz import of_the_web
from tests.end_to_end.socketio_client import FOLDER, NODE, Client, SocketIOFollower
from tests.end_to_end.stack import ALIAS, PASSWORD, ROOT, Stack, running
from tests.waiting import until

pytestmark = pytest.mark.slow
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": ["polling", "websocket"]}


@pytest.fixture(params=TRANSPORTS)
def transports(request: pytest.FixtureRequest) -> list[str]:
    return TRANSPORTS[request.param]


@pytest.fixture
def client(drained: Stack) -> Iterator[Client]:
    with Client(drained) as client:
        yield client


def start(stack: Stack, kind: str = "probe/counts", **fields: Any) -> str:
    with stack.client() as client:
        return str(client.post(f"/{kind}", json={"to": 5, **fields}).json()["id"])


def ended(stack: Stack, **fields: Any) -> str:
    identifier = start(stack, **fields)
    stack.await_end(identifier)
    return identifier


def stored(operation: str) -> list[dict[str, Any]]:
    rows = Event.objects.using(ALIAS).filter(operation_id=operation).order_by("sequence")
    return [dict(json.loads(json.dumps(payloads.event(row)))) for row in rows]


def brief_token(stack: Stack, seconds: float) -> str:
    secret = DataDirectory(stack.folder / "data").secret_key()
    key = hmac.new(secret.encode(), b"jwt signing key", hashlib.sha256).hexdigest()
    user = get_user_model().objects.using(ALIAS).get(username="demo")
    claims = {"token_type": "access", "exp": time.time() + seconds, "jti": "brief", "user_id": str(user.pk)}
    return jwt.encode(claims, key, algorithm="HS256")


# What is followed


def test_an_operation_is_followed_from_its_snapshot_to_its_end(
    drained: Stack, client: Client, transports: list[str]
) -> None:
    client.connect(drained.token(), transports)
    ready = client.await_heard("ready")
    assert (ready["type"], ready["user"]) == ("ready", "demo")
    with drained.gate.holding_at(20):
        operation = start(drained, "probe/saves", to=40)
        drained.await_progress(operation, 20)
        assert client.ask("subscribe", {"operation": operation, "request_id": 7}) == {
            "type": "subscribed",
            "operation": operation,
            "request_id": 7,
        }
        assert client.await_heard("caught_up") == {"type": "caught_up", "operation": operation}
    until(lambda: client.log and client.log[-1]["kind"] == "succeeded", what="the end")
    snapshot = client.named("snapshot")[0]
    assert snapshot["type"] == "snapshot"
    names = [line["heard"] for line in client.heard if line["heard"] not in ("upgrade", "connect")]
    assert names[:3] == ["ready", "snapshot", "caught_up"]
    assert set(names[3:]) == {"event"}
    before = snapshot["operation"]["sequence"]
    assert client.log == stored(operation)[before:]
    assert client.named("event")[-1]["operation"]["state"] == "succeeded"
    assert (client.named("upgrade") == [{"transport": "websocket"}]) is (len(transports) == 2)


def test_who_comes_late_is_told_all_after_its_sequence(drained: Stack, client: Client, transports: list[str]) -> None:
    operation = ended(drained)
    client.connect(drained.token(), transports)
    client.ask("subscribe", {"operation": operation, "after": 1})
    client.await_heard("caught_up")
    assert client.log == stored(operation)[1:]
    assert client.ask("unsubscribe", {"operation": operation}) == {"type": "unsubscribed", "operation": operation}


def test_a_client_comes_back_after_the_web_was_killed_and_misses_nothing(drained: Stack, transports: list[str]) -> None:
    with drained.gate.holding_at(50):
        operation = start(drained, "probe/saves", to=40)
        follower = SocketIOFollower(drained, operation, transports=transports)
        follower.start()
        until(lambda: len(follower.log) > 10, what="it is followed")
        drained.kill_web(operation)
    try:
        drained.await_end(operation)
        follower.join()
        assert follower.connections >= 2
        assert [event["sequence"] for event in follower.log] == [event["sequence"] for event in stored(operation)]
        assert follower.log == stored(operation)
    finally:
        follower.stop()


def test_the_example_of_the_docs_follows_to_the_end_through_a_kill(drained: Stack) -> None:
    text = (ROOT / "docs" / "clients.md").read_text()
    example = text.split("## Socket.IO")[1].split("```js\n")[1].split("```")[0]
    with drained.gate.holding_at(50):
        operation = start(drained, "probe/saves", to=40)
        command = [str(NODE), "--input-type=module", "-", drained.url, "demo", PASSWORD, operation]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=FOLDER, **pipes)
        process.stdin.write(example)  # type: ignore[union-attr]
        process.stdin.close()  # type: ignore[union-attr]
        said = [process.stdout.readline() for _ in range(10)]  # type: ignore[union-attr]
        drained.kill_web(operation)
    with process:
        said += process.stdout.readlines()  # type: ignore[union-attr]
        errors = process.stderr.read()  # type: ignore[union-attr]
    assert said == [f"{event['sequence']} {event['kind']}\n" for event in stored(operation)], errors
    assert errors  # it was thrown out


# What is asked


def test_a_command_is_acknowledged_or_refused(drained: Stack, client: Client, transports: list[str]) -> None:
    client.connect(drained.token(), transports)
    operation = start(drained, to=100_000, seconds_each=0.01)
    drained.await_progress(operation, 0.01)
    done = client.ask("cancel", {"operation": operation, "request_id": "a"})
    assert (done["type"], done["request_id"]) == ("acknowledged", "a")
    assert done["operation"]["state"] in ("cancelling", "cancelled")
    drained.await_end(operation)
    refused = client.ask("pause", {"operation": operation, "request_id": "b"})
    assert (refused["type"], refused["request_id"], refused["code"]) == ("refused", "b", "not_allowed_now")
    assert client.ask("retry", {"operation": "x"})["code"] == "bad_operation"
    assert client.ask("ping", {"request_id": 3}) == {"type": "pong", "request_id": 3}
    assert client.ask("ping") == {"type": "pong"}


def test_what_makes_no_sense_is_refused_by_name_and_ends_nothing(drained: Stack, client: Client) -> None:
    client.connect(drained.token())
    for name, payload, code in (
        ("dance", {"request_id": 1}, "unknown_type"),
        ("ready", {}, "unknown_type"),
        ("subscribe", {}, "bad_target"),
        ("subscribe", [], "bad_frame"),
        ("subscribe", "all", "bad_frame"),
        ("subscribe", None, "bad_frame"),
        ("cancel", {"type": "ping"}, "bad_operation"),
        ("authenticate", {"token": 1}, "bad_token"),
    ):
        answer = client.ask(name, payload)
        assert (answer["type"], answer["code"]) == ("refused", code), name
    assert client.ask("ping") == {"type": "pong"}
    assert not client.named("disconnect")


def test_frames_without_end_are_too_many(drained: Stack, client: Client) -> None:
    client.connect(drained.token())
    for _ in range(300):
        client._tell(act="emit", name="ping", number=0)
    assert client.await_heard("refused")["code"] == "too_many_frames"
    assert client.await_heard("disconnect") == "io server disconnect"


# Who asks


def test_a_bad_token_is_refused_with_its_reason(drained: Stack, client: Client, transports: list[str]) -> None:
    client.connect("nonsense", transports)
    client.await_heard("connect_error")
    refusal = client.heard[-1]
    assert refusal["data"] == {"code": "not_authenticated", "message": refusal["payload"]}


def test_another_user_is_told_that_there_is_no_such_operation(drained: Stack, client: Client) -> None:
    operation = ended(drained)
    client.connect(drained.token("other"))
    for name, payload in (
        ("subscribe", {"operation": operation}),
        ("subscribe", {"root": operation}),
        ("subscribe", {"all": True}),
        ("cancel", {"operation": operation}),
    ):
        assert client.ask(name, payload)["code"] == "not_found"
    assert client.ask("authenticate", {"token": drained.token("demo")})["code"] == "other_user"
    assert client.await_heard("disconnect") == "io server disconnect"
    assert not client.named("snapshot")


def test_a_token_that_expires_ends_the_conversation(drained: Stack, client: Client, transports: list[str]) -> None:
    client.connect(brief_token(drained, 5), transports)
    assert client.await_heard("token_expiring")["expires_at"]
    assert client.await_heard("refused")["code"] == "token_expired"
    assert client.await_heard("disconnect") == "io server disconnect"


def test_a_renewed_token_goes_on(drained: Stack, client: Client) -> None:
    expires_at = time.time() + 8
    client.connect(brief_token(drained, 8))
    client.await_heard("token_expiring")
    ready = client.ask("authenticate", {"token": drained.token()})
    assert ready["type"] == "ready"
    until(lambda: time.time() > expires_at + 1, what="the first token has expired")
    assert client.ask("ping") == {"type": "pong"}
    assert client.connections == 1


def test_only_a_trusted_origin_may_connect(drained: Stack) -> None:
    address = f"{drained.url}/socket.io/?EIO=4&transport=polling"
    assert httpx.get(address, headers={"Origin": "https://evil.example"}, timeout=60).status_code == 400
    assert httpx.get(address, timeout=60).status_code == 200
    answer = httpx.get(address, headers={"Origin": drained.url}, timeout=60)
    assert answer.headers["access-control-allow-origin"] == drained.url


def test_what_is_too_large_costs_the_connection_and_the_client_comes_back(
    drained: Stack, client: Client, transports: list[str]
) -> None:
    client.connect(drained.token(), transports)
    client.await_heard("ready")
    if len(transports) == 2:
        client.await_heard("upgrade")
    client._tell(act="emit", name="subscribe", payload={"operation": "x" * 65_536}, number=0)
    assert client.await_heard("disconnect").startswith("transport")
    client.await_heard("ready", times=2)
    assert client.ask("ping") == {"type": "pong"}


# What no client library sends


@pytest.fixture
def raw(drained: Stack) -> Iterator[Any]:
    """A WebSocket that is in the namespace, and says what it hears packet by packet."""
    address = f"ws://127.0.0.1:{drained.port}/socket.io/?EIO=4&transport=websocket"
    with connect(address, proxy=None) as link:
        link.send("40/operations," + json.dumps({"token": drained.token()}))
        assert [str(link.recv(timeout=60))[:3] for _ in range(3)] == ['0{"', "40/", "42/"]
        yield link


def test_what_is_no_packet_is_refused_and_the_connection_stays(drained: Stack, raw: Any) -> None:
    written = len(drained.log.read_text())
    bad: list[str | bytes] = [
        "4",
        "4x",
        "42",
        "42/operations,",
        "42/operations,{}",
        "42/operations,[]",
        "42/operations,[{}]",
        '42/operations,["connect",{"asgi.scope":{}},{"token":"x"}]',
        '42/operations,["disconnect","x"]',
        "42/operations," + "[" * 5_000,
        '451-/operations,["subscribe",{"_placeholder":true,"num":0}]',
        b"\x00\xff",
        '43/operations,1["x"]',
        "44/operations,{}",
        "4" + "[" * 900,
    ]
    for packet in bad:
        raw.send(packet)
        answer = str(raw.recv(timeout=60))
        assert answer.startswith('42/operations,["refused"'), (packet, answer)
        assert json.loads(answer.removeprefix("42/operations,"))[1]["code"] == "bad_frame"
    raw.send('42/operations,5["ping",{"request_id":1}]')
    assert raw.recv(timeout=60) == '43/operations,5[{"type":"pong","request_id":1}]'
    raw.send("40/elsewhere,{}")
    assert str(raw.recv(timeout=60)).startswith("44/elsewhere,")
    assert_no_traceback(drained, written)


@pytest.mark.parametrize("packet", ["x", "", "4" + "[" * 50_000, "4" + "x" * 65_536])
def test_what_no_connection_may_carry_ends_it_without_an_error(drained: Stack, raw: Any, packet: str) -> None:
    written = len(drained.log.read_text())
    raw.send(packet)
    until(lambda: _is_closed(raw), what="it is closed")
    assert httpx.get(f"{drained.url}/health/live", timeout=60).status_code == 200
    assert_no_traceback(drained, written)


def assert_no_traceback(stack: Stack, written: int) -> None:
    """Of the web: a worker may still complain of what the tests before did to it."""
    assert "Traceback" not in "\n".join(of_the_web(stack.log.read_text()[written:]))


def _is_closed(link: Any) -> bool:
    try:
        link.recv(timeout=0.1)
    except TimeoutError:
        return False
    except Exception:
        return True
    return False


# Several web processes


@pytest.fixture(scope="module")
def two_webs(stack: Stack) -> Iterator[Stack]:
    with running("--web", "2") as both:
        yield both


def _served(stack: Stack, name: str) -> int:
    connections = psutil.Process(stack.pid(name)).net_connections("tcp")
    return sum(1 for one in connections if one.status == "ESTABLISHED" and one.laddr.port == stack.port)


def _are_both_serving(stack: Stack) -> bool:
    return all(_served(stack, name) for name in ("web1", "web2"))


def test_clients_of_both_web_processes_hear_everything(two_webs: Stack) -> None:
    followers: list[SocketIOFollower] = []
    try:
        with two_webs.gate.holding_at(50):
            operation = start(two_webs, "probe/saves", to=40)
            while len(followers) < 4 or (len(followers) < 16 and not _are_both_serving(two_webs)):
                followers.append(SocketIOFollower(two_webs, operation))
                followers[-1].start()
                until(lambda: followers[-1].log, what="it is followed")
            assert _are_both_serving(two_webs)
        for follower in followers:
            follower.join()
            assert follower.log == stored(operation)
            assert follower.connections == 1
    finally:
        for follower in followers:
            follower.stop()


def test_clients_of_a_killed_web_process_go_on_at_the_other(two_webs: Stack) -> None:
    followers: list[SocketIOFollower] = []
    try:
        with two_webs.gate.holding_at(50):
            operation = start(two_webs, "probe/saves", to=40)
            followers += [SocketIOFollower(two_webs, operation) for _ in range(4)]
            for follower in followers:
                follower.start()
            until(lambda: all(follower.log for follower in followers), what="it is followed")
            killed = max(("web1", "web2"), key=lambda name: _served(two_webs, name))
            psutil.Process(two_webs.pid(killed)).kill()
        for follower in followers:
            follower.join()
            assert follower.log == stored(operation)
        assert max(follower.connections for follower in followers) >= 2
    finally:
        for follower in followers:
            follower.stop()


def test_long_polling_needs_sticky_sessions(two_webs: Stack) -> None:
    address = f"{two_webs.url}/socket.io/?EIO=4&transport=polling"

    def meets_the_other() -> bool:
        sid = json.loads(httpx.get(address, timeout=60).text[1:])["sid"]
        answer = httpx.post(f"{address}&sid={sid}", content="40/operations,{}", timeout=60)
        assert answer.status_code == 200 or "Invalid session" in answer.text
        return answer.status_code == 400

    until(meets_the_other, what="a request reaches the process that does not know the session")
