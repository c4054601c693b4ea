"""What was really sent, held to what the documents say of it: every field documented, and none else there."""

from __future__ import annotations

import copy
from datetime import datetime
from functools import cache
from typing import Any, Literal

from jsonschema import Draft7Validator, FormatChecker

from ..transports import asyncapi, protocol
from ..transports.schemas import RESOURCES

Direction = Literal["from_client", "from_server"]
_formats = FormatChecker(["uuid"])


@_formats.checks("date-time", raises=ValueError)
def _is_utc(value: object) -> bool:
    return not isinstance(value, str) or (value.endswith("Z") and bool(datetime.fromisoformat(value)))


def assert_documented(frame: dict[str, Any], direction: Direction) -> None:
    """The frame is as the AsyncAPI document says. Of Socket.IO give `{"type": event, **argument}`."""
    table = protocol.FROM_CLIENT if direction == "from_client" else protocol.FROM_SERVER
    kind = frame.get("type")
    assert kind in table, f"No document knows of a frame '{kind}' {direction.replace('_', ' the ')}: {frame}"
    _assert_valid(frame, f"#/components/messages/{kind}/payload")


def assert_resource(value: Any, name: str) -> None:
    """The value is as the component schema `name` says, as "Operation" or "Reject"."""
    assert name in RESOURCES, f"There is no schema '{name}'; there are {', '.join(RESOURCES)}."
    _assert_valid(value, f"#/components/schemas/{name}")


def _assert_valid(value: Any, pointer: str) -> None:
    validator = Draft7Validator({**_closed_document(), "$ref": pointer}, format_checker=_formats)
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not found, f"{pointer} is not what was sent: {'; '.join(found)}\n{value}"


@cache
def _closed_document() -> dict[str, Any]:
    """The document, in which an object may have no field that it does not name."""
    document = copy.deepcopy(asyncapi.document())
    components = {"messages": document["components"]["messages"], "schemas": copy.deepcopy(RESOURCES)}
    _close(components)
    return {"components": components}


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)
