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

    __slots__ = ("event_json", "is_last", "kind", "merged", "operation", "sequence")

    def __init__(self, news: News, resource: bytes | None = None, *, merged: int = 0) -> None:
        self.operation, self.sequence, self.kind = news.operation, news.sequence, news.kind
        self.event_json, self.is_last, self.merged = news.event_json, news.is_last, merged
        body: dict[str, Any] = {"event": orjson.Fragment(news.event_json)}
        if resource is not None:
            body["operation"] = orjson.Fragment(resource)
        if merged:
            body["merged"] = merged
        super().__init__("event", body)

    @property
    def is_progress(self) -> bool:
        return self.kind == "progress"


class News:
    """One event, and the frames that tell of it: what may be done to the operation differs from user to user."""

    __slots__ = ("_frames", "_row", "event_json", "is_last", "kind", "operation", "sequence")

    def __init__(self, event: Event, row: Operation | None) -> None:
        self.operation, self.sequence, self.kind = str(event.operation_id), event.sequence, event.kind
        self.event_json = orjson.dumps(payloads.event(event))
        self._row = row if event.kind in payloads.LIFECYCLE else None
        #: The operation has ended with it, and was not retried.
        self.is_last = self._row is not None and self._row.is_terminal and self._row.last_sequence == event.sequence
        self._frames: dict[Collection[str], EventFrame] = {}

    @classmethod
    def of(cls, events: Collection[Event], rows: Mapping[Any, Operation]) -> list[Self]:
        return [cls(event, rows.get(event.operation_id)) for event in events]

    @property
    def is_progress(self) -> bool:
        return self.kind == "progress"

    def frame(self, verbs: frozenset[str]) -> EventFrame:
        """The frame for whoever may do these verbs."""
        key = verbs if self._row is not None else frozenset[str]()
        if key not in self._frames:
            resource = None if self._row is None else orjson.dumps(payloads.operation_of(self._row, verbs))
            self._frames[key] = EventFrame(self, resource)
        return self._frames[key]

    def instead_of(self, earlier: EventFrame) -> EventFrame:
        """This progress in place of the one before it, which its client was too slow for."""
        return EventFrame(self, merged=earlier.merged + 1)


def snapshot(row: Operation, verbs: Collection[str]) -> Frame:
    return Frame("snapshot", {"operation": payloads.operation_of(row, verbs)})
