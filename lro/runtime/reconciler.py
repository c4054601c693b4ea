"""Find what crashes left behind and put it right. Any number may run at once: each step is a compare-and-set."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection
from django.db.models import DateTimeField, ExpressionWrapper, F, Max, Min, Q
from django.db.models.functions import Now

from ..conf import conf
from ..lifecycle import leases, retries, transitions
from ..models import Duty, Operation
from ..states import HELD, STOPPING, State, sources
from . import admission, fan_out, pruner, queueing, resources

logger = logging.getLogger(__name__)
#: One duty's turn; the answer is how often it did something.
Work = Callable[[], int]
_SOON = 0.1


def reconcile(duties: Sequence[Work] | None = None) -> dict[str, int]:
    """One round of these duties, or of all; how often each did something.

    One that raises does not keep the others from their turn: the first error is raised when all had it.
    """
    done, errors = dict[str, int](), list[Exception]()
    for duty in DUTIES + CHORES if duties is None else duties:
        try:
            done[duty.__name__] = _do(duty)
        except (OperationalError, InterfaceError):
            raise  # the database is away, for the others too
        except Exception as error:
            errors.append(error)
    if any(done.values()):
        logger.info("reconciled: %s", ", ".join(f"{name} {count}" for name, count in done.items() if count))
    if errors:
        raise errors[0]
    return done


def _do(duty: Work) -> int:
    """Do it, and count it where there was something to do."""
    began = time.monotonic()
    count = duty()
    if count:
        mine, _ = Duty.objects.get_or_create(name=duty.__name__)
        seconds = F("seconds") + (time.monotonic() - began)
        Duty.objects.filter(pk=mine.pk).update(done=F("done") + count, seconds=seconds, last_done_at=Now())
    return count


def rescue_dead() -> int:
    """Operations of this machine's workers that no longer exist."""
    return _rescue(list(leases.of_dead_workers()), "Its worker process ended without a word.")


def rescue_expired() -> int:
    """Operations whose worker gave no proof of life for a whole lease, wherever it is or was."""
    return _rescue(leases.expired()[: conf().batch_size], "Its worker gave no proof of life.")


def stop_unheard() -> int:
    """Operations that did not listen to a cancel or a pause within the grace: they are fenced off."""
    unheard = Operation.objects.filter(state__in=STOPPING, stop_requested_at__lt=Now() - F("cancel_grace"))
    return sum(_settle(transitions.stop(operation)) for operation in unheard[: conf().batch_size])


def time_out() -> int:
    """Attempts that take too long, or have made no progress for too long."""
    late = Q(attempt_ends_at__lt=Now()) | Q(stalls_at__lt=Now())
    rows = Operation.objects.filter(late, state__in=HELD).annotate(is_late=Q(attempt_ends_at__lt=Now()))
    return sum(_time_out(operation) for operation in rows[: conf().batch_size])


def expire() -> int:
    """Operations that nobody claimed in time, or that did not end by their deadline."""
    unclaimed = Q(claim_by__lt=Now(), attempt=0, state=State.QUEUED)
    overdue = Q(deadline_at__lt=Now(), state__in=sources(State.EXPIRED))
    rows = Operation.objects.filter(unclaimed | overdue).annotate(is_overdue=Q(deadline_at__lt=Now()))
    return sum(_expire(operation) for operation in rows[: conf().batch_size])


def requeue_due() -> int:
    """Operations whose back-off is over."""
    due = Operation.objects.filter(state=State.RETRYING, run_at__lte=Now()).values_list("pk", flat=True)
    return sum(_requeue(pk) for pk in due[: conf().batch_size])


def wake_forgotten() -> int:
    """Queued operations whose wake was never sent, or may have been lost with the broker's memory.

    Where messages enough are waiting, what is old is merely waiting its turn: a worker that is free takes the oldest.
    """
    old = timedelta(seconds=conf().rewake_seconds)
    forgotten = Operation.objects.filter(
        Q(woken_at=None) | Q(woken_at__lt=Now() - old), state=State.QUEUED, run_at__lte=Now()
    )
    return sum(_wake(forgotten, queue) for queue in forgotten.order_by().values_list("queue", flat=True).distinct())


DUTIES: list[Work] = [
    rescue_dead,
    rescue_expired,
    stop_unheard,
    time_out,
    expire,
    requeue_due,
    fan_out.stop_families,
    fan_out.pause_families,
    fan_out.join_forgotten,
    admission.replace_forgotten,
    wake_forgotten,
]
#: These call what authors wrote and delete files: in a thread of their own, as no rescue may wait for that.
CHORES: list[Work] = [resources.release_left, pruner.prune_expired]


def chore(work: Work) -> Work:
    """Declare a chore of an app's own: each worker does it every few seconds, and when it starts.

    It answers how often it did something, at most a batch at a time. Any number of processes may do it at once and each
    may be killed at any instant, so its steps are compare-and-sets. Declare it in the app's `operations` module.
    """
    known = {each.__name__: each for each in DUTIES + CHORES}
    if work.__name__ in known and known[work.__name__].__module__ != work.__module__:
        raise ImproperlyConfigured(f"There are two duties '{work.__name__}': in {work.__module__}, and before it.")
    if work.__name__ not in known:
        CHORES.append(work)
    return work


def rescue_of(main_pid: int, pid: int) -> int:
    """Take back what one process of this machine held, the moment its end is seen."""
    held = Operation.objects.held().filter(worker=leases.worker_name(main_pid, pid))
    return _rescue(list(held), "Its worker process was killed.")


def _rescue(operations: list[Operation], message: str) -> int:
    return sum(_settle(transitions.rescue(operation, retries.lost(message))) for operation in operations)


def _wake(forgotten: Any, queue: str) -> int:
    wanted = max(0, conf().batch_size - queueing.length(queue))
    deadline = time.monotonic() + conf().reconcile_seconds
    woken = 0
    for operation in forgotten.filter(queue=queue).order_by("id")[:wanted]:
        woken += queueing.wake_now(operation)
        if time.monotonic() > deadline:
            break  # a broker that stalls takes seconds for each, and no rescue may wait for that
    return woken


def _settle(operation: Operation | None) -> bool:
    """Whether something was done; where it ended a child, its family hears of it."""
    if operation is not None:
        fan_out.follow_up(operation)
    return operation is not None


def give_back(main_pid: int) -> int:
    """Queue again what the processes of a worker still hold when its time to shut down is over."""
    held = Operation.objects.held().filter(worker__startswith=leases.worker_name(main_pid, 0)[:-1])
    reason = "its worker shut down before it came to a checkpoint"
    return sum((transitions.stop(row) or transitions.release(row, reason)) is not None for row in held)


def _time_out(operation: Any) -> bool:
    code, message = (
        ("attempt_timeout", "The attempt took longer than it may.")
        if operation.is_late
        else ("stalled", "The attempt made no progress for longer than it may.")
    )
    return _settle(transitions.end_badly(operation, retries.timed_out(code, message), outcome="timed out"))


def _expire(operation: Any) -> bool:
    code, message = (
        ("deadline_exceeded", "It did not end by its deadline.")
        if operation.is_overdue
        else ("queue_timeout", "No worker claimed it in time.")
    )
    return _settle(transitions.expire(operation, retries.timed_out(code, message)))


def _requeue(operation_id: UUID) -> bool:
    operation = transitions.requeue(operation_id)
    if operation is None:
        return False
    queueing.wake(operation)
    return True


class Reconciler(threading.Thread):
    """Does its duties in the background of a worker, at its start and then every few seconds."""

    def __init__(
        self,
        duties: Sequence[Work] = DUTIES,
        *,
        name: str = "lro-reconciler",
        then: Reconciler | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._duties, self._then = duties, then
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
            done = reconcile(self._duties)
            if self._then is not None and any(done.values()):
                self._then.soon()  # what was taken from a dead process has something to be released
            is_full = max(done.values()) >= conf().batch_size
            return _SOON if is_full else _seconds_until_due()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the reconciler will try again: %s", error)
            return 1.0
        except Exception:  # it may never end: everything that crashes relies on it
            logger.exception("the reconciler will try again")
            return conf().reconcile_seconds
        finally:
            connection.close()


def _seconds_until_due() -> float:
    """Until the next regular round, or until something is due where that is sooner."""
    ends_of_grace = ExpressionWrapper(F("stop_requested_at") + F("cancel_grace"), output_field=DateTimeField())
    held, parked = Q(state__in=HELD), Q(state__in=[State.QUEUED, State.RETRYING])
    dates = Operation.objects.active().aggregate(
        to_run=Min("run_at", filter=parked & Q(run_at__gt=Now())),
        to_end_grace=Min(ends_of_grace, filter=Q(state__in=STOPPING)),
        to_end_attempt=Min("attempt_ends_at", filter=held),
        to_stall=Min("stalls_at", filter=held),
        to_claim=Min("claim_by", filter=Q(claim_by__gt=Now())),
        to_rescue=Min("lease_expires_at", filter=held & Q(lease_expires_at__gt=Now())),
        to_end=Min("deadline_at"),
        now=Max(Now()),  # by another clock that is ahead, all would be due already, again and again
    )
    now = dates.pop("now")
    pauses = [(date - now).total_seconds() for date in dates.values() if date is not None]
    return float(max(_SOON, min([conf().reconcile_seconds, *pauses])))
