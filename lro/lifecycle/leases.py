"""The time-limited right to run an attempt: its renewal, and the finding of those that ran out."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from ..conf import conf
from ..events import journal
from ..models import Operation
from ..states import HELD, State


@cache
def node() -> str:
    """This machine and its process-id namespace: two containers must never mistake each other's processes."""
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = "0"
    return f"{socket.gethostname()[:100]}.{namespace}"


def worker_name(main_pid: int, pid: int) -> str:
    """Who holds a lease: machine, the worker's main process, the process that runs the attempt."""
    return f"{node()}/{main_pid}/{pid}"


def claimable() -> Q:
    """What a worker may take now: it is due, and nothing that works on the same resource is before it.

    A parent waits for its children, not they for it, so a family does not stand in its own way.
    """
    others = Operation.objects.active().filter(flight_key=OuterRef("flight_key")).exclude(root_id=OuterRef("root_id"))
    ahead = others.filter(Q(pk__lt=OuterRef("pk")) | ~Q(state=State.QUEUED))
    return Q(Q(flight_key=None) | ~Exists(ahead), state=State.QUEUED, run_at__lte=Now())


def held_by(fence: int) -> Q:
    """The guard of every write of a worker: it still holds what it claimed."""
    return Q(fence=fence, state__in=HELD)


def renew(operation_id: UUID, fence: int, progress: dict[str, Any] | None) -> State | None:
    """One proof of life, which carries the progress and brings back what was asked for; None: the lease is lost."""
    changes: dict[str, Any] = {"lease_expires_at": Now() + timedelta(seconds=conf().lease_seconds)}
    if progress is not None:
        changes |= {"progress": progress, "stalls_at": Now() + F("max_stall")}
        operation = journal.append(operation_id, [("progress", progress)], where=held_by(fence), **changes)
        return State(operation.state) if operation else None
    rows = Operation.objects.filter(held_by(fence), pk=operation_id)
    if not rows.update(**changes):
        return None
    state = rows.values_list("state", flat=True).first()
    return State(state) if state else None


def lock(operation_id: UUID) -> bool:
    """Lock the row for this transaction, where nobody else has."""
    rows = Operation.objects.select_for_update(skip_locked=True).filter(pk=operation_id)
    return bool(rows.values("pk").first())


def asked_to_stop_for(operation_id: UUID) -> timedelta:
    """How long ago a stop was asked for, by the database's clock."""
    row = Operation.objects.filter(pk=operation_id).annotate(now=Now()).values_list("stop_requested_at", "now").first()
    return row[1] - row[0] if row and row[0] else timedelta(0)


def expired() -> Any:
    return Operation.objects.held().filter(lease_expires_at__lt=Now())


def of_dead_workers() -> Iterable[Operation]:
    """What is held by a worker of this machine that no longer exists: no need to wait for its lease."""
    for operation in Operation.objects.held().filter(worker__startswith=f"{node()}/"):
        if not is_running(operation.worker):
            yield operation


def is_running(worker: str) -> bool:
    """Whether both processes of a worker of this machine are there."""
    return all(is_alive(int(pid)) for pid in worker.rsplit("/", 2)[1:])


def is_alive(pid: int) -> bool:
    """Whether a process of this machine still runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
