"""Wake a worker for an operation. The row is the queue: a wake may be lost, doubled or late, and does no harm."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django.db.models.functions import Now

from ..events.outbox import Outbox
from ..lifecycle import leases
from ..models import Operation
from ..states import State
from . import registry

logger = logging.getLogger(__name__)
_CANDIDATES = 5
#: What no worker knew for so long is known to none, and somebody has to say so.
_KNOWN_WITHIN = timedelta(hours=1)


def wake(operation: Operation) -> None:
    """Send the operation's id to its queue soon; a broker that is away or stalls keeps nobody waiting."""
    if operation.state == State.QUEUED:
        _outbox.put(operation.pk, operation)


def send(operation: Operation) -> bool:
    """Send it now; whether the broker took it."""
    try:
        current_app.send_task(operation.name, args=[str(operation.pk)], queue=operation.queue, retry=False)
    except Exception as error:
        logger.warning("operation %s waits, its wake was not sent: %s", operation.pk, error)
        return False
    return True


def wake_now(operation: Operation) -> bool:
    """Send it now and note when; what could not be sent is left to the reconciler."""
    is_sent = send(operation)
    if is_sent:
        Operation.objects.filter(pk=operation.pk, state=State.QUEUED).update(woken_at=Now())
    return is_sent


def of(operation_id: UUID) -> str | None:
    """The queue of an operation; None where it was deleted."""
    return Operation.objects.filter(pk=operation_id).values_list("queue", flat=True).first()


def due(queue: str | None) -> list[UUID]:
    """The oldest operations of the queue that could be claimed now; a few, as others are after the first too.

    While versions change, what this one does not know is left to workers that do.
    """
    names = [cls.name for cls in registry.all_classes()]
    is_mine = Q(name__in=names) | Q(run_at__lt=Now() - _KNOWN_WITHIN)
    rows = Operation.objects.filter(leases.claimable(), is_mine, queue=queue)
    return list(rows.order_by("id").values_list("pk", flat=True)[:_CANDIDATES])


def wake_next(ended: Operation) -> None:
    """Wake what stood behind `ended` in its single flight."""
    if ended.flight_key is not None:
        behind = Operation.objects.filter(leases.claimable(), flight_key=ended.flight_key)
        if (following := behind.order_by("id").first()) is not None:
            wake_now(following)


def length(queue: str) -> int:
    """How many messages wait in the queue; 0 where the broker does not say."""
    try:
        with current_app.connection_for_write() as broker:
            channel: Any = broker.default_channel
            # As the worker declares it. Only to ask (passive) finds no queue where Redis has a key prefix.
            return int(channel.queue_declare(queue, durable=True, auto_delete=False).message_count)
    except Exception as error:
        logger.warning("the length of the queue %s is unknown: %s", queue, error)
        return 0


def _deliver(operations: list[Operation]) -> None:
    unsent = [operation.pk for operation in operations if not send(operation)]
    if unsent:
        _leave_to_the_reconciler(unsent)


def _leave_to_the_reconciler(identifiers: list[UUID]) -> None:
    """Say that these were not woken; where even that fails, it will find that their wake is old."""
    try:
        Operation.objects.filter(pk__in=identifiers, state=State.QUEUED).update(woken_at=None)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("%d unsent wakes could not be recorded: %s", len(identifiers), error)
    finally:
        connection.close()


_outbox: Outbox[Operation] = Outbox("lro-waker", _deliver)
