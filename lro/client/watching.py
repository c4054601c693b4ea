"""What a watcher of one operation's state makes of frames: the newest state wins. No input or output."""

from __future__ import annotations

from . import resources
from .following import Frame, Wanted, canonical, refuse, subject_of
from .resources import Event, Operation


class Watching:
    """Watch the states of one operation until it is done."""

    is_latest_enough = True

    def __init__(self, operation: str) -> None:
        self._id = canonical(operation)
        self._known: Operation | None = None
        self._is_new = False
        self._is_stale = False

    @property
    def is_over(self) -> bool:
        return self._known is not None and self._known.done and not self._is_new and not self._is_stale

    @property
    def state(self) -> Operation:
        """The newest that is known, once there is one."""
        assert self._known is not None
        return self._known

    def subscriptions(self) -> list[Frame]:
        return [{"type": "subscribe", "operation": self._id}]

    def sequences(self) -> dict[str, int]:
        return {self._id: self._known.sequence} if self._known else {}

    def feed(self, frame: Frame) -> None:
        """Raises `Problem` where the operation cannot be watched (any more), `Lost` where the socket is of no use."""
        refuse(frame)
        kind = frame.get("type")
        if kind == "event":
            whole = resources.operation(frame["operation"]) if frame.get("operation") else None
            self._hear(resources.event(frame.get("event")), whole)
        elif kind == "snapshot" and subject_of(frame) == self._id:
            self.learn(resources.operation(frame["operation"]))

    def _hear(self, event: Event, whole: Operation | None) -> None:
        if event.operation != self._id or (self._known and event.sequence <= self._known.sequence):
            return
        if whole is not None and whole.sequence >= event.sequence:
            self.learn(whole)
        elif self._known is None or "state" in event.data or event.kind.startswith("child."):
            self._is_stale = True
        else:
            self._know(self._known.after(event))

    def suspect(self) -> None:
        self._is_stale = True

    def wanted(self) -> Wanted | None:
        return Wanted(self._id) if self._is_stale else None

    def fill(self, operation: str, events: tuple[Event, ...], is_last: bool) -> None:
        """A watcher asks for no events."""

    def learn(self, operation: Operation) -> None:
        self._is_stale = False
        if self._known is None or operation.sequence >= self._known.sequence:
            self._know(operation)

    def _know(self, operation: Operation) -> None:
        self._is_new = self._is_new or operation != self._known
        self._known = operation

    def take(self) -> list[Operation]:
        """The newest state, once, and not while a newer one is about to be read."""
        if self._known is None or self._is_stale or not self._is_new:
            return []
        self._is_new = False
        return [self._known]
