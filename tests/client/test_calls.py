"""What is asked by REST, tried again, and made of the answers; the tokens; the bodies."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lro.client import AsyncClient, Client, InvalidAnswer, Problem, SignedOut, Unreachable, bodies
from lro.client.backoff import full_jitter, retry_after
from lro.client.bodies import Destination, opened, receiving
from lro.client.effects import Answer, Send
from lro.client.resources import artifact, operation
from lro.client.tokens import TokenKeeper
from tests.client.scripted import Script, answer, in_turn
from tests.client.test_following import ONE, raw_operation

REFUSED = {"status": 409, "code": "not_allowed_now", "detail": "It is done.", "errors": [{"pointer": "/to"}]}


def test_a_start_is_repeated_with_one_key_and_waits_as_long_as_it_is_told() -> None:
    busy = answer(status=503, retry_after="7")
    script = Script(rest=in_turn([Unreachable("no route"), busy, answer(status=502), answer(raw_operation(1))]))
    started = script.run(script.calls.start("probe.counts", {"to": 3}, None, None))
    assert started.id == ONE
    assert len({call.headers["Idempotency-Key"] for call in script.sent}) == 1
    assert {(call.path, call.json["to"]) for call in script.sent} == {("/probe/counts", 3)}
    assert script.slept == [0.5, 7.0, 2.0]


def test_two_starts_have_two_keys() -> None:
    script = Script(rest=lambda call: answer(raw_operation(1)))
    for _ in range(2):
        script.run(script.calls.start("probe.counts", None, None, None))
    assert len({call.headers["Idempotency-Key"] for call in script.sent}) == 2


def test_the_patience_of_a_request_ends() -> None:
    script = Script(rest=in_turn(Unreachable("no route") for _ in range(1000)))
    began = script.now
    with pytest.raises(Unreachable):
        script.run(script.calls.get(ONE))
    assert 100 < script.now - began <= 120


def test_a_server_that_asks_for_more_than_the_patience_is_not_waited_for() -> None:
    script = Script(rest=lambda call: answer(status=503, retry_after="3600"))
    with pytest.raises(Problem) as refused:
        script.run(script.calls.get(ONE))
    assert (refused.value.status, refused.value.retry_after, script.slept) == (503, 3600.0, [])


def test_a_refusal_is_a_problem_and_is_not_repeated() -> None:
    script = Script(rest=lambda call: answer(REFUSED, status=409))
    with pytest.raises(Problem, match="It is done") as refused:
        script.run(script.calls.act(ONE, "pause"))
    assert (refused.value.status, refused.value.code, refused.value.errors) == (
        409,
        "not_allowed_now",
        ({"pointer": "/to"},),
    )
    assert len(script.sent) == 1


def test_a_token_that_is_not_taken_is_renewed_once() -> None:
    rest = in_turn([answer(status=401), answer({"access": "second", "refresh": "twice"}), answer(raw_operation(1))])
    script = Script(rest=rest)
    script.run(script.calls.get(ONE))
    assert [call.headers.get("Authorization") for call in script.sent] == ["Bearer first", None, "Bearer second"]
    script = Script(rest=in_turn([answer(status=401), answer({"access": "second"}), answer(status=401)]))
    with pytest.raises(SignedOut):
        script.run(script.calls.get(ONE))


def test_a_refresh_token_that_is_not_taken_leaves_the_password() -> None:
    keeper = {"refresh": "old", "username": "demo", "password": "secret"}
    script = Script(rest=in_turn([answer(status=401), answer({"access": "a", "refresh": "r"})]), keeper=keeper)
    assert script.run(script.calls.token()) == "a"
    assert [call.json for call in script.sent] == [{"refresh": "old"}, {"username": "demo", "password": "secret"}]
    assert script.calls.keeper.ways()[0] == ("/auth/token/refresh/", {"refresh": "r"})


def test_what_another_thread_has_renewed_is_not_renewed_again() -> None:
    script = Script(rest=in_turn([]), keeper={"token": "newer", "refresh": "r"})
    assert script.run(script.calls.renew("older")) == "newer"


def test_nobody_without_a_token_is_let_out() -> None:
    with pytest.raises(SignedOut):
        Script(keeper={"username": "demo"}).calls.keeper.ways()


def token(issued: float, expires: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"iat": issued, "exp": expires}).encode()).decode().rstrip("=")
    return f"e30.{claims}.signature"


def test_a_token_is_renewed_ahead_of_its_end_by_its_own_lifetime() -> None:
    now = [0.0]
    keeper = TokenKeeper(refresh="r", clock=lambda: now[0])
    assert keeper.is_due
    keeper.keep({"access": token(issued=5_000_000, expires=5_000_300)})  # a clock that is far from ours
    now[0] = 269
    assert not keeper.is_due
    now[0] = 271
    assert keeper.is_due
    keeper.keep({"access": token(issued=0, expires=8)})
    now[0] += 5
    assert not keeper.is_due


def test_a_token_that_was_given_is_measured_by_our_clock_and_one_that_cannot_be_read_is_used() -> None:
    given = TokenKeeper(token=token(0, time.time() + 300), refresh="r", clock=time.time)
    assert not given.is_due
    assert TokenKeeper(token=token(0, time.time() - 1), refresh="r", clock=time.time).is_due
    for unreadable in ("opaque", "a.b.c", "a.W10.c"):
        assert not TokenKeeper(token=unreadable, refresh="r", clock=time.time).is_due


def test_a_delete_whose_answer_was_lost_finds_nothing_and_is_content() -> None:
    script = Script(rest=in_turn([Unreachable("cut off"), answer(status=404)]))
    script.run(script.calls.delete(ONE))
    script = Script(rest=in_turn([answer(status=404)]))
    with pytest.raises(Problem):
        script.run(script.calls.delete(ONE))


def test_pages_are_read_to_the_last_and_never_on_another_host() -> None:
    pages = [
        answer({"results": [raw_operation(1)], "next": "https://evil.example/else?state=running&cursor=abc"}),
        answer({"results": [raw_operation(2)], "next": None}),
    ]
    script = Script(rest=in_turn(pages))
    found = script.play(script.calls.list({"state": "running", "tag": None}))
    assert [row.sequence for row in found] == [1, 2]
    assert {call.path for call in script.sent} == {"/operations/"}
    assert [dict(call.query) for call in script.sent] == [{"state": "running"}, {"state": "running", "cursor": "abc"}]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"results": {}}', b'{"results": [{"id": 1}]}', b"[" * 100_000])
def test_what_is_not_in_the_contract_is_an_invalid_answer(body: bytes) -> None:
    script = Script(rest=lambda call: Answer(200, {}, body))
    with pytest.raises(InvalidAnswer):
        script.play(script.calls.list({}))


def test_an_id_stays_one_part_of_the_path() -> None:
    script = Script(rest=lambda call: answer(status=404))
    with pytest.raises(Problem):
        script.run(script.calls.get("../auth/token?x=1"))
    assert script.sent[0].path == "/operations/..%2Fauth%2Ftoken%3Fx%3D1"


def test_fields_of_a_later_version_are_kept() -> None:
    row = operation(raw_operation(1, novel={"a": 1}))
    assert row.raw["novel"] == {"a": 1}
    assert row.raise_for_state() is row


@given(st.integers(0, 2000), st.floats(0, 1))
def test_a_pause_is_anything_up_to_its_ceiling(failures: int, chance: float) -> None:
    assert 0 <= full_jitter(failures, lambda: chance, base=0.5, cap=10) <= min(10, 0.5 * 2 ** min(failures, 10))


def test_retry_after_has_two_forms() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after("12") == 12.0
    assert retry_after(soon) == pytest.approx(60, abs=3)
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert (retry_after(None), retry_after("soon")) == (None, None)


def test_files_are_sent_from_their_beginning_each_time(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b")
    memory = io.BytesIO(b"1,2")
    uploads: dict[str, Any] = {"file": path, "more": memory, "named": ("c.csv", memory, "text/csv")}
    for _ in range(2):
        with opened(uploads) as parts:
            assert [part[0] for part in parts.values()] == ["table.csv", "upload", "c.csv"]
            assert parts["file"][1].read() == b"a,b"
            assert parts["more"][1].read() == b"1,2"
        assert parts["file"][1].closed
    assert not memory.closed


def test_fields_beside_files_are_a_form() -> None:
    script = Script(rest=lambda call: answer(raw_operation(1)))
    given = {"name": "x", "options": {"a": 1}, "absent": None}
    script.run(script.calls.start("uploads.import", given, {"file": io.BytesIO()}, "key"))
    assert script.sent[0].form == {"name": "x", "options": '{"a": 1}'}
    assert script.sent[0].headers["Idempotency-Key"] == '"key"'


def receive(destination: Destination, body: bytes) -> None:
    with receiving(destination, 200) as sink:
        sink.write(body)
        sink.finish()


def test_a_download_is_whole_or_is_not_there(tmp_path: Path) -> None:
    body = b"the whole report"
    good = Destination(tmp_path / "report.txt", len(body), hashlib.sha256(body).hexdigest())
    for wrong in (body[:-1], body + b"!", body[::-1]):
        with pytest.raises(InvalidAnswer):
            receive(good, wrong)
    assert list(tmp_path.iterdir()) == []
    receive(good, body)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [body]
    with receiving(good, 404) as sink:
        sink.write(b"a problem")
        assert sink.finish() == b"a problem"


@pytest.mark.parametrize(("name", "expected"), [("../../evil", "evil"), ("..", ONE), ("a\\b.txt", "b.txt"), ("", ONE)])
def test_a_server_does_not_choose_the_folder(tmp_path: Path, name: str, expected: str) -> None:
    found = artifact({"id": ONE, "name": name, "size": 1, "sha256": "00"}, ONE)
    script = Script(rest=lambda call: answer())
    assert script.run(script.calls.download(found, tmp_path)) == tmp_path / expected


def test_an_answer_may_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_LARGEST_BODY", 10)
    with pytest.raises(InvalidAnswer, match="more than 10 bytes"), receiving(None, 200) as sink:
        sink.write(b"x" * 11)


@pytest.mark.parametrize("base", ["example.org", "ftp://example.org", "http://"])
def test_a_base_url_is_http(base: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        Client(base)


def test_both_clients_have_the_same_calls() -> None:
    public = [{name for name in vars(cls) if not name.startswith("_")} for cls in (Client, AsyncClient)]
    assert public[0] == public[1]


def test_importing_it_imports_no_django() -> None:
    program = "import sys, lro.client; print([m for m in ('django', 'celery', 'channels') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_request_bears_its_limit_of_time() -> None:
    script = Script(rest=lambda call: answer(raw_operation(1)))
    script.calls.timeout = 5.0
    script.run(script.calls.get(ONE))
    assert script.sent == [Send("GET", f"/operations/{ONE}", headers={"Authorization": "Bearer first"}, seconds=5.0)]
