"""What is refused though its input is good: a person's quotas, the limit of the whole system, single flight.

Quotas are counted where they are asked for, under the lock of the owner's row: a counter could come to differ.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from ..conf import conf
from ..exceptions import AlreadyActive, NotAllowedNow, Overloaded, QuotaExceeded
from ..lifecycle import transitions
from ..models import Operation
from ..states import State
from . import registry
from .operations import OperationTask

REJECT, REPLACE = "reject", "replace"
_MINUTE = timedelta(minutes=1)
_COUNT_SECONDS = 1.0
_KEY_LENGTH = 255


def admit(cls: type[OperationTask], owner: Any) -> None:
    """Within the transaction that inserts the operation. Raises `QuotaExceeded`, `Overloaded`."""
    limits = conf()
    if limits.max_queued and _backlog.size() >= limits.max_queued:
        raise Overloaded
    if getattr(owner, "pk", None) is None:
        return
    own = _lock_own(owner.pk)
    if limits.max_submissions_per_minute:
        _refuse_over(
            limits.max_submissions_per_minute,
            own.filter(created_at__gt=Now() - _MINUTE),
            "operations may be started in a minute",
            retry_after=60,
        )
    _refuse_more_active(own, cls)


def admit_again(operation: Operation) -> None:
    """Within the transaction that retries what had ended: it counts as active again. Raises `QuotaExceeded`."""
    cls = registry.known(operation.name)  # where its code is gone, the attempt will say so
    if cls is not None and operation.parent_id is None and operation.owner_id is not None:
        _refuse_more_active(_lock_own(operation.owner_id), cls)


def _lock_own(owner_id: Any) -> Any:
    """The operations of one owner, whose number nobody else changes until this transaction ends."""
    get_user_model().objects.select_for_update(no_key=True).filter(pk=owner_id).values_list("pk").first()
    return Operation.objects.filter(owner_id=owner_id, parent=None)


def _refuse_more_active(own: Any, cls: type[OperationTask]) -> None:
    most = conf().max_active_per_owner
    if most:
        _refuse_over(most, own.active(), "operations of one owner may be under way")
    if cls.max_active_per_owner:
        rows = own.active().filter(name=cls.name)
        _refuse_over(cls.max_active_per_owner, rows, f"{cls.name} of one owner may be under way")


def _refuse_over(limit: int, rows: Any, what: str, *, retry_after: int = 5) -> None:
    if rows.order_by()[:limit].count() >= limit:
        raise QuotaExceeded(f"At most {limit:,} {what}.", retry_after=retry_after)


class _Backlog:
    """How many operations are queued, counted at most once a second in each process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._size, self._counted_at = 0, float("-inf")

    def size(self) -> int:
        with self._lock:
            if time.monotonic() - self._counted_at >= _COUNT_SECONDS:
                self._size = Operation.objects.filter(state=State.QUEUED).count()
                self._counted_at = time.monotonic()
            return self._size

    def forget(self) -> None:
        self._counted_at = float("-inf")


_backlog = _Backlog()


# Single flight


def flight(cls: type[OperationTask], prepared: dict[str, Any]) -> dict[str, Any]:
    """The columns that keep two operations on one resource apart."""
    key = cls.flight_key(prepared) if cls.single_flight else None
    if key is None:
        return {}
    named = f"{cls.name} {key}"
    if len(named) > _KEY_LENGTH:  # cut, two resources would be one
        named = f"{cls.name} {hashlib.sha256(key.encode()).hexdigest()}"
    return {"flight_key": named, "is_exclusive": cls.single_flight == REJECT}


def refuse_second(operation: Operation) -> None:
    """Raise `AlreadyActive` where an exclusive operation holds the resource that this one wants."""
    if not operation.is_exclusive:
        return
    active = Operation.objects.active().filter(flight_key=operation.flight_key, is_exclusive=True)
    if (other := active.first()) is not None:
        raise AlreadyActive(other.pk, visible=other.owner_id == operation.owner_id)


def replaced_by(operation: Operation) -> list[Any]:
    """The operations that this one takes the place of: of two that begin at once, the later one is left."""
    others = Operation.objects.active().filter(~Q(state=State.CANCELLING), flight_key=operation.flight_key)
    earlier = others.filter(created_at__lt=operation.created_at)  # by the database's clock, as an id is by its maker's
    return list(earlier.exclude(root_id=operation.root_id).values_list("pk", flat=True))


def replace_forgotten() -> int:
    """What a later operation takes the place of, where its process died before it had cancelled it.

    What somebody retried by hand after that was recorded is left alone.
    """
    names = [cls.name for cls in registry.all_classes() if cls.single_flight == REPLACE]
    earlier = {"created_at__gt": OuterRef("created_at"), "created_at__gte": OuterRef("run_at")}
    later = Operation.objects.filter(
        **earlier, state=State.QUEUED, attempt=0, name__in=names, flight_key=OuterRef("flight_key")
    ).exclude(root_id=OuterRef("root_id"))
    active = Operation.objects.active().exclude(state=State.CANCELLING).filter(flight_key__isnull=False)
    done = 0
    for operation_id in active.filter(Exists(later)).values_list("pk", flat=True)[: conf().batch_size]:
        with suppress(NotAllowedNow):  # it ended meanwhile
            transitions.cancel(operation_id, "a later operation, which takes its place")
            done += 1
    return done
