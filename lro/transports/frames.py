"""What clients are told, encoded once however many of them are told it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self

import orjson

from ..models import Event, Operation
from . import payloads


class Frame:
    """A `type` and what belongs to it."""

    __slots__ = ("_json", "_text", "body", "type")

    def __init__(self, type: str, body: Mapping[str, Any]) -> None:
        self.type, self.body = type, body
        self._json: bytes | None = None
        self._text: str | None = None

    @property
    def json(self) -> bytes:
        """The whole frame, `type` included, as a JSON object."""
        if self._json is None:
            self._json = orjson.dumps({"type": self.type, **self.body})
        return self._json

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = self.json.decode()
        return self._text

    def as_dict(self) -> dict[str, Any]:
        return dict(orjson.loads(self.json))


class EventFrame(Frame):
    """An event of an operation, with the operation as it is now where more than its progress changed.

    `merged` counts the progress events right before this one that it stands for: only a slow client has any.
    """

    __slots__ = ("event_json", "kind", "merged", "operation", "sequence")

    def __init__(
        self,
        operation: str,
        sequence: int,
        kind: str,
        event_json: bytes,
        *,
        resource: bytes | None = None,
        merged: int = 0,
    ) -> None:
        self.operation, self.sequence, self.kind = operation, sequence, kind
        self.event_json, self.merged = event_json, merged
        body: dict[str, Any] = {"event": orjson.Fragment(event_json)}
        if resource is not None:
            body["operation"] = orjson.Fragment(resource)
        if merged:
            body["merged"] = merged
        super().__init__("event", body)

    @property
    def is_progress(self) -> bool:
        return self.kind == "progress"

    def after(self, earlier: EventFrame) -> EventFrame:
        """This progress in place of the one before it, which its client was too slow for."""
        merged = earlier.merged + 1 + self.merged
        return EventFrame(self.operation, self.sequence, self.kind, self.event_json, merged=merged)


class News:
    """One event, and the frames that tell of it: what may be done to the operation differs from user to user."""

    __slots__ = ("_event_json", "_frames", "_row", "kind", "operation", "sequence")

    def __init__(self, event: Event, row: Operation | None) -> None:
        self.operation, self.sequence, self.kind = str(event.operation_id), event.sequence, event.kind
        self._event_json = orjson.dumps(payloads.event(event))
        self._row = row if event.kind in payloads.LIFECYCLE else None
        self._frames: dict[Collection[str], EventFrame] = {}

    @classmethod
    def of(cls, events: Collection[Event], rows: Mapping[Any, Operation]) -> list[Self]:
        return [cls(event, rows.get(event.operation_id)) for event in events]

    def frame(self, verbs: frozenset[str]) -> EventFrame:
        """The frame for whoever may do these verbs."""
        key = verbs if self._row is not None else frozenset[str]()
        if key not in self._frames:
            resource = None if self._row is None else orjson.dumps(payloads.operation_of(self._row, verbs))
            self._frames[key] = EventFrame(
                self.operation, self.sequence, self.kind, self._event_json, resource=resource
            )
        return self._frames[key]


def snapshot(row: Operation, verbs: Collection[str]) -> Frame:
    return Frame("snapshot", {"operation": payloads.operation_of(row, verbs)})
