"""Wake a worker for an operation. The row is the queue: a wake may be lost, doubled or late, and does no harm."""

from __future__ import annotations

import logging

from celery import current_app
from django.db.models.functions import Now

from ..models import Operation
from ..states import State

logger = logging.getLogger(__name__)


def wake(operation: Operation) -> bool:
    """Send the operation's id to its queue. Where the broker is away, the reconciler sends it later."""
    if operation.state != State.QUEUED:
        return False
    try:
        current_app.send_task(operation.name, args=[str(operation.pk)], queue=operation.queue, retry=False)
    except Exception as error:  # never an error to the caller: the operation is recorded and will run
        logger.warning("operation %s waits, its wake was not sent: %s", operation.pk, error)
        return False
    Operation.objects.filter(pk=operation.pk, state=State.QUEUED).update(woken_at=Now())
    return True
