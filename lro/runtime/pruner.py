"""Delete operations: what is past its retention, and what somebody asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from ..conf import conf
from ..exceptions import NotAllowedNow
from ..lifecycle import removal
from ..models import Operation
from ..states import TERMINAL
from . import resources


def obstacle(operation: Operation) -> str:
    """Why it cannot be deleted; empty where nothing in its own row stands against it."""
    if operation.parent_id is not None:
        return "The operation is a part of another one, and is deleted with it."
    if not operation.is_terminal:
        return f"The operation is {operation.state}; cancel it before you delete it."
    return ""


def delete(operation: Operation) -> None:
    """Delete an ended operation with its descendants and files. Raises `NotAllowedNow`."""
    if reason := obstacle(operation):
        raise NotAllowedNow(reason)
    if not _delete(operation.pk) and Operation.objects.filter(pk=operation.pk).exists():
        raise NotAllowedNow("The operation, or a child of it, is at work.")


def prune_expired() -> int:
    """Operations past their retention, where all of their family has ended."""
    expired = prunable().order_by("expires_at").values_list("pk", flat=True)
    return sum(_delete(pk) for pk in expired[: conf().batch_size])


def prunable(older_than: timedelta | None = None) -> Any:
    """Ended operations that may be deleted, with all their descendants: past their retention, or ended so long ago."""
    at_work = Operation.objects.active().filter(root_id=OuterRef("pk"))
    rows = Operation.objects.filter(~Exists(at_work), parent=None, state__in=TERMINAL)
    if older_than is None:
        return rows.filter(expires_at__lt=Now())
    return rows.filter(finished_at__lt=Now() - older_than)


def _delete(operation_id: Any) -> bool:
    left = removal.remove([operation_id])
    if left:
        now = left[: conf().batch_size]  # the rest, and what is cut off here, is due and found by the reconciler
        transaction.on_commit(lambda: resources.release_quietly(now))
    return bool(left)
