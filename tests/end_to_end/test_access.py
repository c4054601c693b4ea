"""Nobody sees or touches what is not theirs, on any face."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.end_to_end.stack import Stack
from tests.end_to_end.transports import open_socket

pytestmark = pytest.mark.slow


def say(link: Any, **frame: Any) -> dict[str, Any]:
    link.send(json.dumps(frame))
    return dict(json.loads(link.recv(timeout=60)))


@pytest.fixture
def of_demo(drained: Stack) -> str:
    with drained.client("demo") as client:
        identifier = str(client.post("/probe/counts", json={"to": 3}).json()["id"])
    drained.await_end(identifier)
    return identifier


def test_another_users_token_sees_404_everywhere(drained: Stack, of_demo: str) -> None:
    with drained.client("other") as client:
        own = f"/operations/{of_demo}"
        for path in ("", "/events/", "/rejects/", "/rejects/?format=csv", "/artifacts/"):
            assert client.get(own + path).status_code == 404, path
        for verb in ("cancel", "pause", "resume", "retry"):
            assert client.post(f"{own}/{verb}").status_code == 404, verb
        assert client.delete(own).status_code == 404
        listed = client.get("/operations/").json()["results"]
        assert {row["owner"] for row in listed} <= {"other"}


def test_another_users_socket_is_told_that_there_is_no_such_operation(drained: Stack, of_demo: str) -> None:
    with open_socket(drained, "lro.v1", f"bearer.{drained.token('other')}") as link:
        assert json.loads(link.recv(timeout=60))["type"] == "ready"
        assert say(link, type="subscribe", operation=of_demo)["code"] == "not_found"
        assert say(link, type="subscribe", root=of_demo)["code"] == "not_found"
        assert say(link, type="subscribe", all=True)["code"] == "not_found"
        assert say(link, type="cancel", operation=of_demo, request_id=1)["code"] == "not_found"
        assert say(link, type="subscribe", mine=True) == {"type": "caught_up", "mine": True}


def test_no_token_is_401_and_no_socket(drained: Stack) -> None:
    assert httpx.get(f"{drained.url}/operations/", timeout=60).status_code == 401
    with open_socket(drained, "lro.v1", "bearer.nonsense") as link:
        assert json.loads(link.recv(timeout=60))["code"] == "not_authenticated"
        with pytest.raises(ConnectionClosed) as ended:
            link.recv(timeout=60)
    assert ended.value.rcvd.code == 4401


def test_a_foreign_origin_is_turned_away(drained: Stack) -> None:
    with open_socket(drained, "lro.v1", f"bearer.{drained.token()}", origin="https://evil.example") as link:
        assert json.loads(link.recv(timeout=60))["code"] == "forbidden_origin"


def test_a_token_may_come_in_the_first_frame(drained: Stack) -> None:
    with open_socket(drained, "lro.v1") as link:
        assert say(link, type="subscribe", mine=True)["code"] == "not_authenticated"
        ready = say(link, type="authenticate", token=drained.token())
        assert (ready["type"], ready["user"]) == ("ready", "demo")


def test_a_bad_frame_is_refused_by_name_and_does_not_end_the_stream(drained: Stack, of_demo: str) -> None:
    with open_socket(drained, "lro.v1", f"bearer.{drained.token()}") as link:
        link.recv(timeout=60)
        link.send("{")
        assert json.loads(link.recv(timeout=60))["code"] == "bad_frame"
        link.send(b"\x00")
        assert json.loads(link.recv(timeout=60))["code"] == "bad_frame"
        for frame, code in (
            ({"type": "dance"}, "unknown_type"),
            ({"type": "subscribe"}, "bad_target"),
            ({"type": "subscribe", "operation": "x"}, "bad_operation"),
            ({"type": "subscribe", "operation": of_demo, "after": -1}, "bad_after"),
        ):
            assert say(link, **frame)["code"] == code
        assert say(link, type="subscribe", operation=of_demo)["type"] == "snapshot"


def test_rejects_are_a_download_that_no_spreadsheet_runs(drained: Stack, tmp_path: Path) -> None:
    path = tmp_path / "formulas.csv"
    path.write_text("a,b\n=1+1\n")
    with drained.client() as client:
        identifier = drained.upload(client, path)["id"]
        drained.await_end(identifier)
        answer = client.get(f"/operations/{identifier}/rejects/", params={"format": "csv"})
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    row = next(csv.DictReader(io.StringIO(answer.text)))
    assert (row["position"], row["code"], row["raw"]) == ("2", "ragged_short", "'=1+1")


def test_a_monitor_reads_the_metrics_of_the_whole_system_with_its_token(drained: Stack, of_demo: str) -> None:
    assert httpx.get(f"{drained.url}/metrics").status_code == 401
    with drained.client("demo") as client:
        assert client.get("/metrics").status_code == 403
    headers = {"Authorization": "Bearer the-monitor's"}
    text = httpx.get(f"{drained.url}/metrics", headers=headers).text
    assert 'lro_operations{state="running"} 0.0' in text
    assert 'lro_queue_operations{queue="default"} 0.0' in text
