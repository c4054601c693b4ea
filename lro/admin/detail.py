"""What the page of one operation shows."""

from __future__ import annotations

import json
from typing import Any

from django.urls import reverse

from ..models import Event, Operation
from ..transports import payloads, wording
from . import acts, columns

_EVENTS = 50
_REJECTS = 50
_LABELS = {"cancel": "Cancel", "pause": "Pause", "resume": "Resume", "retry": "Retry"}


def context(operation: Operation, user: Any) -> dict[str, Any]:
    resource = payloads.operation(operation)
    events = list(operation.events.order_by("-sequence")[:_EVENTS])[::-1]
    rejects = list(operation.rejects.all()[:_REJECTS])
    details = (operation.error or {}).get("details")
    return {
        "operation": operation,
        "state": columns.state(operation),
        "bar": columns.progress(operation),
        # A number beside a bar that moves would stand still.
        "amount": "" if operation.is_held else wording.amount(operation.progress),
        "elapsed": columns.elapsed(operation),
        "tools": _tools(operation, user),
        "error_details": _pretty(details) if details else "",
        "events": [_event(event) for event in events],
        "events_after": events[-1].sequence if events else 0,
        "attempts": operation.attempts.order_by("-fence"),
        "rejects": rejects,
        "rejects_left_off": max(0, operation.rejected - len(rejects)),
        "artifacts": operation.artifacts.all(),
        "children": operation.children.all()[:_EVENTS],
        "input_text": _pretty(resource["input"]),
        "result_text": "" if operation.result is None else _pretty(resource["result"]),
    }


def _tools(operation: Operation, user: Any) -> list[dict[str, str]]:
    tools: list[dict[str, str]] = []
    for verb in acts.verbs_for(user, operation):
        address = reverse(f"admin:lro_operation_{verb}", args=[operation.pk])
        tools.append({"verb": verb, "label": _LABELS[verb], "address": address, "source": ""})
        if verb == "retry" and operation.checkpoint is not None:
            tools.append({"verb": verb, "label": "Retry from the start", "address": address, "source": "start"})
    return tools


def _event(event: Event) -> dict[str, Any]:
    return {
        "sequence": event.sequence,
        "time": event.time,
        "clock": f"{event.time:%H:%M:%S}.{event.time.microsecond // 1000:03}",
        "kind": event.kind,
        "text": wording.describe(event),
    }


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
