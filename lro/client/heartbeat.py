"""Whether the socket is still alive: pings that are due, and silence after them. Times are given, in seconds."""

from __future__ import annotations

PING_EVERY = 15.0
SILENCE = 10.0
_SHORTEST_WAIT = 0.1


class Heartbeat:
    def __init__(self, now: float) -> None:
        self._ping_at = now + PING_EVERY
        self._answer_by: float | None = None

    def wait(self, now: float) -> float:
        """How long to listen; never so shortly that what has come already could not be heard."""
        return max(_SHORTEST_WAIT, (self._answer_by or self._ping_at) - now)

    def heard(self) -> None:
        self._answer_by = None

    def is_silent(self, now: float) -> bool:
        return self._answer_by is not None and now >= self._answer_by

    def is_due(self, now: float) -> bool:
        return self._answer_by is None and now >= self._ping_at

    def pinged(self, now: float) -> None:
        self._answer_by, self._ping_at = now + SILENCE, now + PING_EVERY
