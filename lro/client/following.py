"""What followers of events send, make of frames, and need from the record: no input or output.

Frames are hints as much as facts. A follower delivers only what comes next; wherever a frame leaves a hole, or says
that there is one, the follower asks for the stored events after its cursor, which are the record.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar
from uuid import UUID

from . import resources
from .effects import Lost
from .errors import InvalidAnswer, Problem
from .resources import Event, Operation

Frame = Mapping[str, Any]
Value_co = TypeVar("Value_co", covariant=True)
_FATAL = {"not_found": 404, "bad_operation": 400, "bad_after": 400, "too_many_subscriptions": 429}
SUBSCRIPTIONS = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read by REST: the events of an operation after a sequence, or, without one, the operation."""

    operation: str
    after: int | None = None


class Subject(Protocol[Value_co]):
    """What one socket is opened for; `suspect` makes it want all from the record, as there is no socket to trust."""

    @property
    def is_latest_enough(self) -> bool: ...

    @property
    def is_over(self) -> bool: ...

    def subscriptions(self) -> list[Frame]: ...

    def sequences(self) -> dict[str, int]: ...

    def feed(self, frame: Frame) -> None: ...

    def suspect(self) -> None: ...

    def wanted(self) -> Wanted | None: ...

    def fill(self, operation: str, events: tuple[Event, ...], is_last: bool) -> None: ...

    def learn(self, operation: Operation) -> None: ...

    def take(self) -> Sequence[Value_co]: ...


class Log:
    """The cursor of one operation: lets each event through once, in order, and knows when it must ask."""

    def __init__(self, after: int) -> None:
        self.last = after
        self.is_behind = False
        self.is_unknown = False
        self.is_ended = False
        self._newest: Event | None = None

    def offer(self, event: Event, whole: Operation | None = None) -> list[Event]:
        """A live event, and the operation as the server read it with the event or later."""
        if event.sequence <= self.last:
            return []
        unseen = event.sequence - self.last - 1
        if unseen > event.merged:
            self.is_behind = True
            return []
        self._accept(event)
        if event.is_terminal:
            self.is_ended = whole is not None and whole.done and whole.sequence == event.sequence
            self.is_behind = self.is_behind or not self.is_ended
        return [replace(event, merged=unseen) if event.merged else event]

    def _accept(self, event: Event) -> None:
        self.last, self._newest, self.is_ended = event.sequence, event, False

    def fill(self, events: tuple[Event, ...], is_last: bool) -> list[Event]:
        """A page of stored events after the cursor; what is missing there does not exist any more."""
        fresh = sorted((event for event in events if event.sequence > self.last), key=lambda event: event.sequence)
        for event in fresh:
            self._accept(event)
        if is_last or not fresh:
            self.is_behind = False
            self.caught_up()
            self.is_ended = self._newest is not None and self._newest.is_terminal
        return fresh

    def caught_up(self) -> None:
        """Who begins behind the last event is sent none, and must ask whether there will be any."""
        self.is_unknown = self._newest is None

    def learn(self, operation: Operation) -> None:
        self.is_unknown = False
        if operation.sequence > self.last:
            self.is_behind = True
        else:
            self.is_ended = operation.done


class Following:
    """Follow the events of some operations over one socket, each from its cursor on."""

    is_latest_enough = False

    def __init__(self, cursors: Mapping[str, int], *, until_done: bool = True) -> None:
        if not 0 < len(cursors) <= SUBSCRIPTIONS:
            raise ValueError(f"One socket follows from 1 to {SUBSCRIPTIONS} operations, not {len(cursors)}.")
        self._logs = {operation: Log(after) for operation, after in cursors.items()}
        self._until_done = until_done
        self._ready: deque[Event] = deque()

    @property
    def is_over(self) -> bool:
        return self._until_done and not self._open()

    def _open(self) -> dict[str, Log]:
        return {key: log for key, log in self._logs.items() if not (self._until_done and log.is_ended)}

    def subscriptions(self) -> list[Frame]:
        open_logs = self._open().items()
        return [{"type": "subscribe", "operation": key, "after": log.last} for key, log in open_logs]

    def sequences(self) -> dict[str, int]:
        return {key: log.last for key, log in self._open().items()}

    def feed(self, frame: Frame) -> None:
        """Raises `Problem` where an operation cannot be followed (any more), `Lost` where the socket is of no use."""
        if subject_of(frame) in ("", *self._open()):
            refuse(frame)
        kind = frame.get("type")
        if kind == "event":
            event = resources.event(frame.get("event"), frame.get("merged") or 0)
            if event.operation in self._logs:
                whole = resources.operation(frame["operation"]) if frame.get("operation") else None
                self._ready.extend(self._logs[event.operation].offer(event, whole))
            return
        log = self._logs.get(subject_of(frame))
        if log is None:
            return
        if kind == "gap":
            log.is_behind = True
        elif kind == "snapshot":
            log.learn(resources.operation(frame["operation"]))
        elif kind == "caught_up":
            log.caught_up()

    def suspect(self) -> None:
        for log in self._open().values():
            log.is_behind = True

    def wanted(self) -> Wanted | None:
        for key, log in self._open().items():
            if log.is_behind:
                return Wanted(key, log.last)
            if log.is_unknown and self._until_done:
                return Wanted(key)
        return None

    def fill(self, operation: str, events: tuple[Event, ...], is_last: bool) -> None:
        self._ready.extend(self._logs[operation].fill(events, is_last))

    def learn(self, operation: Operation) -> None:
        self._logs[operation.id].learn(operation)

    def take(self) -> list[Event]:
        """What can be delivered now."""
        ready = list(self._ready)
        self._ready.clear()
        return ready


def cursors(operations: Sequence[str], after: int | Mapping[str, int]) -> dict[str, int]:
    """From where to follow each of the operations."""
    given = {canonical(key): value for key, value in after.items()} if isinstance(after, Mapping) else {}
    common = 0 if isinstance(after, Mapping) else after
    return {key: given.get(key, common) for key in map(canonical, operations)}


def canonical(identifier: str) -> str:
    """The id as the server writes it; what is none is left for the server to refuse."""
    try:
        return str(UUID(identifier))
    except ValueError:
        return identifier


def subject_of(frame: Frame) -> str:
    """The id of the operation that a frame is about, which is there as a whole or by its id."""
    operation = frame.get("operation")
    return str(operation.get("id", "")) if isinstance(operation, dict) else str(operation or "")


def refuse(frame: Frame) -> None:
    """Raises what a frame says that cannot be done; whatever comes before a close is left to the close."""
    kind, code = frame.get("type"), frame.get("code")
    if kind == "unsubscribed" and code:
        raise Problem(_FATAL.get(str(code), 404), str(code), str(frame.get("message") or ""))
    if kind != "refused":
        return
    if code in _FATAL:
        raise Problem(_FATAL[code], code, str(frame.get("message") or ""))
    if code == "server_error":
        raise Lost


def parse(text: str) -> Frame:
    """Raises `InvalidAnswer`."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise InvalidAnswer("The server sent a frame that is not a JSON object.")
    return frame
