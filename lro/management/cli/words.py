"""One line of plain text for an operation or an event."""

from __future__ import annotations

from typing import Any

from ...models import Event, Operation
from ...transports.wording import amount, percent, percent_of

__all__ = ["amount", "joined", "label", "line", "percent", "percent_of", "rate", "remaining", "summary"]


def label(operation: Operation) -> str:
    """The name and the end of the id: the beginning of a UUIDv7 is its time."""
    return f"{operation.name} …{str(operation.pk)[-8:]}"


def rate(progress: dict[str, Any]) -> str:
    return f"{progress['rate']:,.0f}/s" if progress.get("rate") else ""


def remaining(progress: dict[str, Any]) -> str:
    seconds = progress.get("eta_seconds")
    return f"{seconds:,.0f} s left" if seconds else ""


def joined(*parts: str, by: str = "  ") -> str:
    return by.join(part for part in parts if part)


def summary(event: Event) -> str:
    """What the event's kind does not say already."""
    data: dict[str, Any] = event.data
    if event.kind == "progress":
        return joined(percent(data.get("percent")), amount(data), rate(data), str(data.get("message") or ""))
    if event.kind == "reject" and "count" in data:
        return f"{data['count']:,} more, {data.get('total', data['count']):,} in all"
    error = data.get("error") or {}
    said = (
        data.get("message") or error.get("message") or data.get("reason") or data.get("step") or data.get("name") or ""
    )
    return joined(str(said), f"by {data['by']}" if data.get("by") else "")


def line(event: Event) -> str:
    return f"{event.sequence:>6}  {event.time:%Y-%m-%d %H:%M:%S}  {event.kind:<16}  {summary(event)}".rstrip()
