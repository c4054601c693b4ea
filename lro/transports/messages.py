"""What a client may say, and by which name what it may not say is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .frames import Frame
from .records import Target

VERBS = ("cancel", "pause", "resume", "retry")
KINDS = ("operation", "root", "mine", "all")
TYPES = ("authenticate", "subscribe", "unsubscribe", *VERBS, "ping")


class Refused(Exception):
    """A message that cannot be followed; the stream goes on."""

    def __init__(self, code: str, message: str, about: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.about = code, message, about or {}

    def as_frame(self) -> Frame:
        return Frame("refused", {"code": self.code, "message": self.message, **self.about})


@dataclass(frozen=True, slots=True)
class Message:
    type: str
    body: dict[str, Any]

    @property
    def about(self) -> dict[str, Any]:
        """What an answer repeats, so that the client knows what it answers."""
        names = ("request_id", *KINDS) if self.type in ("subscribe", "unsubscribe") else ("request_id", "operation")
        return {name: self.body[name] for name in names if name in self.body and _can_be_repeated(self.body[name])}

    def refuse(self, code: str, message: str) -> Refused:
        return Refused(code, message, self.about)

    def target(self) -> Target:
        """`{operation}`, `{root}`, `{mine: true}` or `{all: true}`, exactly one of them."""
        named = [kind for kind in KINDS if kind in self.body]
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

    def options(self) -> dict[str, Any]:
        """What a verb takes besides the operation: of a retry, whether it goes on from its checkpoint."""
        source = self.body.get("from", "checkpoint") if self.type == "retry" else None
        if source not in (None, "checkpoint", "start"):
            raise self.refuse("invalid", "'from' is 'checkpoint' or 'start'.")
        return {"source": source} if source else {}

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
        if not isinstance(value, str) or not value or not value.isascii():
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
    return message_of(body)


def message_of(body: Any) -> Message:
    """Raises `Refused`."""
    if not isinstance(body, dict):
        raise Refused("bad_frame", "A frame must be a JSON object with a 'type'.")
    message = Message(str(body.get("type")), body)
    if message.type not in TYPES:
        raise message.refuse("unknown_type", f"'type' must be one of {', '.join(TYPES)}.")
    return message


def _can_be_repeated(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 100 and value.isprintable()
    return isinstance(value, int) and abs(value) < 2**53
