"""Where an attempt stands: two verbs for the loop, one snapshot for the heartbeat that writes it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

#: Weight of the newest interval in the rate, a compromise between calm and truth.
_SMOOTHING = 0.3


class Meter:
    """Counts in plain attributes, so that a loop pays nanoseconds; rate, percent and ETA are made when it is read."""

    def __init__(self, before: dict[str, Any] | None = None) -> None:
        before = before or {}
        self.current: int = before.get("current") or 0
        self.total: int | None = before.get("total")
        self.unit: str = before.get("unit") or ""
        self.step: str = before.get("step") or ""
        self.message: str = before.get("message") or ""
        self.fraction: float | None = None
        self.rejected: int = before.get("rejected") or 0
        self._percent: float | None = None
        self._rate: float | None = None
        self._fraction_rate: float | None = None
        self._seen = (time.monotonic(), self.current, 0.0)
        self._written: tuple[Any, ...] = ()

    @property
    def is_dirty(self) -> bool:
        return self._state() != self._written

    def _state(self) -> tuple[Any, ...]:
        return (self.current, self.total, self.unit, self.step, self.message, self.fraction, self.rejected)

    def snapshot(self) -> dict[str, Any]:
        """The `progress` object of the contract; `rate` is in units per second, `eta_seconds` in seconds."""
        done = self._done()
        self._measure(done)
        self._written = self._state()
        return {
            "current": self.current,
            "total": self.total,
            "unit": self.unit,
            "percent": self._advance_percent(done),
            "step": self.step,
            "message": self.message,
            "rejected": self.rejected,
            "rate": None if self._rate is None else round(self._rate, 1),
            "eta_seconds": self._eta(done),
            "updated_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }

    def _done(self) -> float | None:
        if self.fraction is not None:
            return min(1.0, self.fraction)
        return min(1.0, self.current / self.total) if self.total else None

    def _measure(self, done: float | None) -> None:
        now = time.monotonic()
        then, current, fraction = self._seen
        if (elapsed := now - then) < 0.05:
            return
        self._rate = _smooth(self._rate, (self.current - current) / elapsed)
        self._fraction_rate = _smooth(self._fraction_rate, ((done or 0.0) - fraction) / elapsed)
        self._seen = (now, self.current, done or 0.0)

    def _advance_percent(self, done: float | None) -> float | None:
        if done is not None:
            self._percent = max(self._percent or 0.0, round(done * 100, 1))
        return self._percent

    def _eta(self, done: float | None) -> float | None:
        if done is None or not self._fraction_rate or self._fraction_rate <= 0:
            return None
        return round((1.0 - done) / self._fraction_rate, 1)


def of_children(before: dict[str, Any], *, done: int, total: int, share: float) -> dict[str, Any]:
    """The `progress` object of a parent; its percentage never goes backwards while the family stays the same."""
    percent = round(min(1.0, share) * 100, 1)
    if before.get("unit") == "children" and before.get("total") == total:
        percent = max(percent, before.get("percent") or 0.0)
    return {
        "current": done,
        "total": total,
        "unit": "children",
        "percent": percent,
        "step": before.get("step") or "",
        "message": "",
        "rejected": before.get("rejected") or 0,
        "rate": None,
        "eta_seconds": None,
        "updated_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }


def _smooth(before: float | None, now: float) -> float:
    return max(0.0, now if before is None else before + _SMOOTHING * (now - before))
