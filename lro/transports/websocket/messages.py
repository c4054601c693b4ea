"""What a client may say, and by which name what it may not say is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ..following import Target

VERBS = ("cancel", "pause", "resume", "retry")
TYPES = ("authenticate", "subscribe", "unsubscribe", *VERBS, "ping")


class Refused(Exception):
    """A frame that cannot be followed; the stream goes on."""

    def __init__(self, code: str, message: str, request_id: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.request_id = code, message, request_id

    def as_frame(self) -> dict[str, Any]:
        frame = {"type": "refused", "code": self.code, "message": self.message}
        return frame if self.request_id is None else {**frame, "request_id": self.request_id}


@dataclass(frozen=True, slots=True)
class Message:
    type: str
    body: dict[str, Any]

    @property
    def request_id(self) -> Any:
        return self.body.get("request_id")

    def refuse(self, code: str, message: str) -> Refused:
        return Refused(code, message, self.request_id)

    def target(self) -> Target:
        """`{operation}`, `{root}`, `{mine: true}` or `{all: true}`, exactly one of them."""
        named = [kind for kind in ("operation", "root", "mine", "all") if kind in self.body]
        if len(named) != 1:
            raise self.refuse("bad_target", "Name one of 'operation', 'root', 'mine', 'all'.")
        kind, value = named[0], self.body[named[0]]
        if kind in ("mine", "all"):
            if value is not True:
                raise self.refuse("bad_target", f"'{kind}' must be true.")
            return Target(kind)
        return Target(kind, self._identifier(kind))

    def operation(self) -> str:
        return self._identifier("operation")

    def after(self) -> int | None:
        value = self.body.get("after")
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62):
            return value
        raise self.refuse("bad_after", "'after' must be a sequence: a whole number from 0.")

    def sequences(self) -> dict[str, int]:
        value = self.body.get("sequences", {})
        if isinstance(value, dict) and all(type(sequence) is int for sequence in value.values()):
            return value
        raise self.refuse("bad_sequences", "'sequences' must map operations to whole numbers.")

    def token(self) -> str:
        value = self.body.get("token")
        if not isinstance(value, str) or not value:
            raise self.refuse("bad_token", "'token' must be an access token.")
        return value

    def _identifier(self, key: str) -> str:
        try:
            return str(UUID(self.body[key]))
        except (KeyError, ValueError, AttributeError, TypeError):
            raise self.refuse("bad_operation", f"'{key}' must be an operation's id.") from None


def parse(text: str | None) -> Message:
    """Raises `Refused`."""
    if text is None:
        raise Refused("bad_frame", "Frames are text, not binary.")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("bad_frame", "A frame must be JSON.") from None
    if not isinstance(body, dict):
        raise Refused("bad_frame", "A frame must be a JSON object with a 'type'.")
    kind = body.get("type")
    if kind not in TYPES:
        raise Refused("unknown_type", f"'type' must be one of {', '.join(TYPES)}.", body.get("request_id"))
    return Message(kind, body)
