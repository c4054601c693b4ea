"""What clients are shown: the operation, event, reject and artifact resources, the same on every transport."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from ..models import Artifact, Event, Operation, Reject
from ..runtime import masking, pruner, registry
from ..runtime.control import VERBS
from . import access

#: Events after which the whole resource is worth sending: all that change more than the progress.
LIFECYCLE = frozenset(
    {
        "created",
        "started",
        "retry.scheduled",
        "interrupted",
        "paused",
        "resumed",
        "cancel.requested",
        "succeeded",
        "failed",
        "cancelled",
        "expired",
    }
)
#: The last event of an operation, until it is retried by hand.
ENDINGS = frozenset({"succeeded", "failed", "cancelled", "expired"})

_EMPTY_PROGRESS: dict[str, Any] = {
    "current": 0,
    "total": None,
    "unit": "",
    "percent": None,
    "step": "",
    "message": "",
    "rejected": 0,
    "rate": None,
    "eta_seconds": None,
    "updated_at": None,
}


def operation(row: Operation, user: Any = None) -> dict[str, Any]:
    """The operation resource (contract, section 2), with the links of this user, or without one of who may do all."""
    return operation_of(row, access.VERBS if user is None else access.Rights.of(user).verbs(row.owner_id))


def operation_of(row: Operation, verbs: Collection[str]) -> dict[str, Any]:
    """The operation resource for whoever may do these verbs to it."""
    return {
        "id": str(row.pk),
        "name": row.name,
        "state": row.state,
        "done": row.is_terminal,
        "progress": _EMPTY_PROGRESS | row.progress,
        "result": row.result,
        "error": row.error,
        "rejected": row.rejected,
        "attempt": row.attempt,
        "max_attempts": row.max_attempts,
        "next_attempt_at": time(row.run_at) if row.state == "retrying" else None,
        "parent_id": str(row.parent_id) if row.parent_id else None,
        "root_id": str(row.root_id),
        "children": {
            "total": row.children_total,
            "done": row.children_total - row.children_pending,
            "failed": row.children_failed,
        },
        "owner": row.owner.get_username() if row.owner else None,
        "input": masking.shown(registry.known(row.name), row.input),
        "tags": row.tags,
        "created_at": time(row.created_at),
        "started_at": time(row.started_at),
        "updated_at": time(row.updated_at),
        "finished_at": time(row.finished_at),
        "expires_at": time(row.expires_at),
        "sequence": row.last_sequence,
        "links": _links(row, verbs),
    }


def _links(row: Operation, verbs: Collection[str]) -> dict[str, str]:
    """Of these verbs only what its state allows."""
    own = f"/operations/{row.pk}"
    always = {"self": own} | {name: f"{own}/{name}/" for name in ("events", "artifacts", "rejects", "children")}
    possible = [verb for verb, states in VERBS.items() if row.state in states] + ["delete"] * (not pruner.obstacle(row))
    return always | {verb: own if verb == "delete" else f"{own}/{verb}" for verb in possible if verb in verbs}


def event(row: Event) -> dict[str, Any]:
    """The event resource (contract, section 4)."""
    return {
        "operation": str(row.operation_id),
        "root": str(row.root_id),
        "sequence": row.sequence,
        "kind": row.kind,
        "attempt": row.attempt,
        "time": time(row.time),
        "data": row.data,
    }


def reject(row: Reject) -> dict[str, Any]:
    return {
        "position": row.position,
        "offset": row.offset,
        "column": row.column,
        "code": row.code,
        "message": row.message,
        "raw": row.raw,
    }


def artifact(row: Artifact) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "size": row.size,
        "sha256": row.sha256,
        "content_type": row.content_type,
        "created_at": time(row.created_at),
        "links": {"download": f"/operations/{row.operation_id}/artifacts/{row.pk}"},
    }


def time(value: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None
