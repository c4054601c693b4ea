"""The AsyncAPI document is valid, and knows every frame, code and sub-protocol of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from jsonschema import Draft7Validator

from lro.exceptions import AlreadyActive, NotAllowedNow, QuotaExceeded
from lro.testing import assert_documented
from lro.transports import asyncapi, conversation, following, frames, messages
from lro.transports.protocol import CLOSE_CODES, FROM_CLIENT, FROM_SERVER, REFUSALS
from lro.transports.websocket import consumers

HERE = Path(__file__).parent
SOURCES = [Path(str(module.__file__)).read_text() for module in (consumers, conversation, messages, following, frames)]
SPECIFICATION = json.loads((HERE / "asyncapi-3.0.0.json").read_text())
ID = "0198f3c2-0000-7000-8000-000000000000"


def test_the_document_is_valid_asyncapi() -> None:
    found = Draft7Validator(SPECIFICATION).iter_errors(asyncapi.document())
    assert [f"{error.json_path}: {error.message[:300]}" for error in found] == []


@pytest.mark.parametrize("broken", [{"asyncapi": "2.6.0"}, {"operations": {"ping": {"action": "publish"}}}, {"x": 1}])
def test_what_is_not_asyncapi_is_found(broken: dict[str, Any]) -> None:
    assert list(Draft7Validator(SPECIFICATION).iter_errors({**asyncapi.document(), **broken}))


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi.document()
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        node: Any = document
        for step in reference.split("/"):
            assert step in node, reference
            node = node[step]


def test_every_frame_is_on_both_faces() -> None:
    document = asyncapi.document()
    assert set(FROM_CLIENT) == set(messages.TYPES)
    for channel in document["channels"].values():
        assert set(channel["messages"]) == {*FROM_CLIENT, *FROM_SERVER}
    for prefix in ("", "socketio_"):
        for name, frame in FROM_CLIENT.items():
            operation = document["operations"][prefix + name]
            answers = {reply["$ref"].rsplit("/", 1)[1] for reply in operation["reply"]["messages"]}
            assert (operation["action"], answers) == ("receive", set(frame.replies))


def test_every_frame_that_the_code_sends_is_documented() -> None:
    sent = {kind for source in SOURCES for kind in re.findall(r'Frame\("([a-z_]+)"', source)}
    assert {"ready", "snapshot", "pong", "refused"} <= sent <= set(FROM_SERVER)


def test_every_code_of_a_refusal_is_documented() -> None:
    pattern = r'(?:refuse|Refused|Ended)\(\s*(?:[A-Z_]+, )?"([a-z_]+)"'
    used = {code for source in SOURCES for code in re.findall(pattern, source)}
    assert len(used) > 12
    assert used | {NotAllowedNow.code, AlreadyActive.code, QuotaExceeded.code} == set(REFUSALS)


def test_every_close_code_is_documented() -> None:
    own = {value for value in vars(conversation).values() if type(value) is int and 4000 <= value < 5000}
    assert own | {1012} == set(CLOSE_CODES)
    assert set(asyncapi.document()["channels"]["websocket"]["x-close-codes"]) == {str(code) for code in CLOSE_CODES}


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "subscribe", "operation": ID},
        {"type": "subscribe", "mine": True, "after": 3},
        {"type": "unsubscribe", "all": True},
        {"type": "cancel", "operation": ID, "request_id": 7},
        {"type": "ping", "sequences": {ID: 12}},
        {"type": "authenticate", "token": "a.b.c"},
    ],
)
def test_good_frames_of_a_client_are_documented(frame: dict[str, Any]) -> None:
    assert_documented(frame, "from_client")


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "gap", "operation": ID, "after": 3, "sequence": 90},
        {"type": "unsubscribed", "root": ID, "code": "not_found", "message": "It is no longer yours."},
        {"type": "unsubscribed", "mine": True},
        {"type": "refused", "code": "not_found", "message": "…", "operation": ID, "request_id": "a"},
        {"type": "token_expiring", "expires_at": "2026-01-31T12:00:00Z"},
        {"type": "ready", "user": "alice", "expires_at": None},
    ],
)
def test_good_frames_of_the_server_are_documented(frame: dict[str, Any]) -> None:
    assert_documented(frame, "from_server")


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": "dance"},
        {"type": "subscribe", "mine": True},
        {"type": "pong", "surprise": 1},
        {"type": "caught_up"},
        {"type": "caught_up", "mine": True, "all": True},
        {"type": "refused", "code": "unheard_of", "message": ""},
        {"type": "event", "event": {"sequence": 1}},
        {"type": "gap", "operation": ID, "after": 3},
        {"type": "ready", "user": "alice", "expires_at": "soon"},
    ],
)
def test_what_is_not_documented_is_found(frame: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        assert_documented(frame, "from_server")


def test_it_is_served_as_yaml_and_as_json() -> None:
    as_yaml = Client().get("/schema/realtime/")
    assert as_yaml.headers["Content-Type"].startswith("application/yaml")
    assert yaml.safe_load(as_yaml.content) == asyncapi.document("testserver")
    assert Client().get("/schema/realtime/?format=json").json() == asyncapi.document("testserver")
    accepted = Client().get("/schema/realtime/", headers={"Accept": "application/json"}, secure=True)
    assert accepted.json()["servers"]["websocket"]["protocol"] == "wss"
