"""Find what crashes left behind and put it right. Any number may run at once: each step is a compare-and-set."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.models import Q
from django.db.models.functions import Now

from ..conf import conf
from ..lifecycle import leases, retries, transitions
from ..models import Operation
from ..states import State
from . import queueing

logger = logging.getLogger(__name__)


def reconcile() -> dict[str, int]:
    """One round of every duty; how often each did something."""
    done = {duty.__name__: duty() for duty in DUTIES}
    if any(done.values()):
        logger.info("reconciled: %s", ", ".join(f"{name} {count}" for name, count in done.items() if count))
    return done


def rescue_dead() -> int:
    """Operations of this machine's workers that no longer exist."""
    return _rescue(list(leases.of_dead_workers()), "Its worker process ended without a word.")


def rescue_expired() -> int:
    """Operations whose worker gave no proof of life for a whole lease, wherever it is or was."""
    return _rescue(leases.expired()[: conf().batch_size], "Its worker gave no proof of life.")


def stop_unheard() -> int:
    """Operations that did not listen to a cancel within the grace: they are fenced off."""
    grace = timedelta(seconds=conf().cancel_grace_seconds)
    unheard = Operation.objects.filter(state=State.CANCELLING, stop_requested_at__lt=Now() - grace)
    return sum(transitions.stop(operation) is not None for operation in unheard[: conf().batch_size])


def requeue_due() -> int:
    """Operations whose back-off is over."""
    due = Operation.objects.filter(state=State.RETRYING, run_at__lte=Now()).values_list("pk", flat=True)
    return sum(_requeue(pk) for pk in due[: conf().batch_size])


def wake_forgotten() -> int:
    """Queued operations whose wake was never sent, or may have been lost with the broker's memory."""
    old = timedelta(seconds=conf().rewake_seconds)
    forgotten = Operation.objects.filter(
        Q(woken_at=None) | Q(woken_at__lt=Now() - old), state=State.QUEUED, run_at__lte=Now()
    )
    return sum(_wake(operation) for operation in forgotten.order_by("run_at")[: conf().batch_size])


DUTIES: list[Callable[[], int]] = [rescue_dead, rescue_expired, stop_unheard, requeue_due, wake_forgotten]


def rescue_of(main_pid: int, pid: int) -> int:
    """Take back what one process of this machine held, the moment its end is seen."""
    held = Operation.objects.held().filter(worker=leases.worker_name(main_pid, pid))
    return _rescue(list(held), "Its worker process was killed.")


def _rescue(operations: list[Operation], message: str) -> int:
    return sum(transitions.rescue(operation, retries.lost(message)) is not None for operation in operations)


def _wake(operation: Operation) -> bool:
    is_sent = queueing.send(operation)
    if is_sent:
        Operation.objects.filter(pk=operation.pk, state=State.QUEUED).update(woken_at=Now())
    return is_sent


def _requeue(operation_id: UUID) -> bool:
    operation = transitions.requeue(operation_id)
    if operation is None:
        return False
    queueing.send(operation)
    return True


class Reconciler(threading.Thread):
    """Reconciles in the background of a worker, at its start and then every few seconds."""

    def __init__(self) -> None:
        super().__init__(name="lro-reconciler", daemon=True)
        self._stopping = threading.Event()
        self._wanted = threading.Event()

    def soon(self) -> None:
        self._wanted.set()

    def stop(self) -> None:
        self._stopping.set()
        self._wanted.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._wanted.clear()
            self._wanted.wait(self._round())

    def _round(self) -> float:
        """Reconcile once; the seconds until the next round."""
        try:
            close_old_connections()
            reconcile()
            return _seconds_until_due()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the reconciler will try again: %s", error)
            return 1.0
        finally:
            connection.close()


def _seconds_until_due() -> float:
    """Until the next regular round, or until the next retry is due where that is sooner."""
    retrying = Operation.objects.filter(state=State.RETRYING)
    due = retrying.annotate(now=Now()).order_by("run_at").values_list("run_at", "now").first()
    pause = conf().reconcile_seconds
    return pause if due is None else min(pause, max(0.1, (due[0] - due[1]).total_seconds()))
