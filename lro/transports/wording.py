"""Numbers, times and events in the words that the single-page app uses: its script goes on where this page ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone

from ..models import Event, Operation
from ..states import State

NONE = "–"
_SENTENCES = {
    "created": "Accepted and queued",
    "paused": "Paused",
    "resumed": "Resumed",
    "cancelled": "Cancelled",
    "succeeded": "Succeeded",
    "expired": "Expired",
}


def percent_of(operation: Operation) -> float | None:
    """The share that is done; None while it cannot be told."""
    if operation.state == State.SUCCEEDED:
        return 100.0
    value = operation.progress.get("percent")
    return None if value is None else min(100.0, max(0.0, float(value)))


def percent(value: float | None) -> str:
    """Rounded down, so that 100 % is said only when it is all."""
    return "" if value is None else f"{math.floor(value + 1e-9)} %"


def amount(progress: dict[str, Any]) -> str:
    """As "42,000 of 100,000 rows"."""
    current, total = progress.get("current"), progress.get("total")
    if not current and not progress.get("unit"):
        return ""
    of = "" if total is None or total == current else f" of {total:,}"
    return f"{current:,}{of} {progress.get('unit') or ''}".rstrip()


def duration(start: datetime | None, end: datetime | None = None) -> str:
    return NONE if start is None else _seconds(((end or timezone.now()) - start).total_seconds())


def _seconds(value: float) -> str:
    if value < 10:
        return f"{max(0.0, value):.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def describe(event: Event) -> str:
    """One line that says what happened."""
    data: dict[str, Any] = event.data
    sentence = _SPOKEN.get(event.kind)
    if sentence is not None:
        return sentence(event, data)
    if event.kind in _SENTENCES:
        return _SENTENCES[event.kind]
    return str(data.get("message") or _pairs(data))


def _progress(event: Event, data: dict[str, Any]) -> str:
    rejected = f"{data['rejected']:,} rejected" if data.get("rejected") else ""
    parts = [percent(data.get("percent")), amount(data), rejected, str(data.get("message") or "")]
    return " · ".join(part for part in parts if part) or "Progress"


def _rejects(event: Event, data: dict[str, Any]) -> str:
    if "count" not in data:
        return "Items rejected"
    return f"{data['count']:,} rejected, {data.get('total', data['count']):,} in all"


def _retry(event: Event, data: dict[str, Any]) -> str:
    delay = data.get("delay_seconds")
    return _because("Will try again" if delay is None else f"Will try again in {_seconds(delay)}", data)


def _because(lead: str, data: dict[str, Any]) -> str:
    reason = data.get("reason") or (data.get("error") or {}).get("message")
    return f"{lead}: {reason}" if reason else lead


def _pairs(data: dict[str, Any]) -> str:
    return " · ".join(f"{name} {value}" for name, value in data.items() if isinstance(value, str | int | float))


_SPOKEN: dict[str, Callable[[Event, dict[str, Any]], str]] = {
    "started": lambda event, data: f"Attempt {event.attempt} started",
    "progress": _progress,
    "step": lambda event, data: f"Step: {data.get('step') or data.get('name') or data.get('message') or ''}",
    "reject": _rejects,
    "artifact": lambda event, data: f"File ready: {data.get('name', '')}",
    "retry.scheduled": _retry,
    "interrupted": lambda event, data: _because("Interrupted; goes on from its checkpoint", data),
    "failed": lambda event, data: _because("Failed", data),
    "cancel.requested": lambda event, data: (
        f"Cancel requested by {data['by']}" if data.get("by") else "Cancel requested"
    ),
}
