"""The Celery side: one body, one named task per operation, and what a worker does besides running them."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import threading
import time
from typing import Any
from uuid import UUID

from celery import Task, current_app
from celery.signals import worker_process_init, worker_ready, worker_shutting_down
from celery.worker import state
from celery.worker.request import Request
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from .conf import conf
from .lifecycle import leases
from .models import Attempt
from .runtime import executor, queueing, reconciler, registry, shutdown

logger = logging.getLogger(__name__)


class OperationRequest(Request):
    """Sees the death of a pool process at once, in the worker's main process.

    The task itself never fails: whatever is reported as its failure, its process holds nothing more by right.
    """

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        threading.Thread(target=_rescue, args=(self.worker_pid,), name="lro-rescue", daemon=True).start()
        return super().on_failure(exc_info, send_failed_event, return_ok)


class OperationCeleryTask(Task):  # type: ignore[type-arg]
    Request = OperationRequest  # type: ignore[assignment]
    abstract = True
    acks_late = False
    ignore_result = True
    max_retries = 0

    def run(self, operation_id: str) -> None:
        executor.work_off(UUID(operation_id))


def declare() -> None:
    """Give every registered operation its Celery task, so that workers, routes and logs speak its name."""
    for cls in registry.all_classes():
        if cls.name not in current_app.tasks:
            task = type(cls.__name__, (OperationCeleryTask,), {"name": cls.name, "__module__": cls.__module__})
            current_app.register_task(task())


@worker_process_init.connect
def _leave_what_is_loaded(**_: Any) -> None:
    """No garbage collection of a pool process looks at the modules again: work that makes many objects starts many."""
    gc.freeze()


def _rescue(pid: int) -> None:
    try:
        reconciler.rescue_of(os.getpid(), pid)
    finally:
        connection.close()
    for each in _reconcilers:
        each.soon()


class Warden(threading.Thread):
    """In a worker's main process: sees what Celery does not see, or not soon enough.

    It kills the pool process that goes on with an attempt which was taken from it, has those reaped that ended, and
    lets the worker connect to its broker again where it has gone deaf.
    """

    def __init__(self, consumer: Any) -> None:
        super().__init__(name="lro-warden", daemon=True)
        self._consumer = consumer
        self._stopping = threading.Event()
        self._suspects: dict[int, int] = {}
        self._received, self._silent_since = 0, time.monotonic()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            running = _running()
            if running:
                self._reap(running)
                self._look(running)
            if self._is_deaf(len(running)):
                logger.error("messages wait, and none is received: the worker connects to its broker again")
                self._consumer.hub.call_soon(_lose_connection)

    def _reap(self, running: set[int]) -> None:
        """Celery is told of an end a moment before the process can be reaped, and then looks only every 5 s."""
        if self._consumer.hub is not None and not all(map(leases.is_alive, running)):
            self._consumer.hub.call_soon(self._consumer.pool.maintain_pool)

    def _is_deaf(self, busy: int) -> bool:
        """Messages wait, a process is free, and nothing comes.

        kombu waits for ever on a connection of whose loss another command was told first.
        """
        now, received = time.monotonic(), sum(state.total_count.values())
        if received != self._received or busy >= self._consumer.pool.limit or self._consumer.hub is None:
            self._received, self._silent_since = received, now
        if now - self._silent_since < _DEAF_SECONDS:
            return False
        self._silent_since = now
        return any(map(queueing.length, self._consumer.app.amqp.queues.consume_from))

    def _look(self, running: set[int]) -> None:
        """Kill who was suspected at the last look and still is: what merely ends its task is gone by then."""
        try:
            close_old_connections()
            suspects = {pid: stray for pid in running if (stray := _stray_attempt(pid)) is not None}
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the warden will look again: %s", error)
            return
        finally:
            connection.close()
        for pid, attempt in suspects.items():
            if self._suspects.get(pid) == attempt:
                logger.warning("process %d goes on with attempt %d though it was stopped; it is killed", pid, attempt)
                _kill(pid)
        self._suspects = suspects


def _running() -> set[int]:
    """The pool processes of this worker that are at work."""
    return {r.worker_pid for r in list(state.active_requests)} - {None, os.getpid()}


def _stray_attempt(pid: int) -> int | None:
    """The last attempt of a process, where it was ended by another."""
    attempts = Attempt.objects.filter(worker=leases.worker_name(os.getpid(), pid)).order_by("-pk")
    last = attempts.values_list("pk", "outcome").first()
    return last[0] if last and last[1] in _ENDED_BY_OTHERS else None


def _lose_connection() -> None:
    raise ConnectionResetError("no message came, though some were waiting")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


#: A process that ended its attempt itself is looking for the next, which may take a while on a busy machine.
_ENDED_BY_OTHERS = frozenset({"cancelled", "paused", "lost", "timed out", "expired"})
_LOOK_SECONDS, _DEAF_SECONDS = 0.5, 5.0
_reconcilers: list[reconciler.Reconciler] = []
_warden: Warden | None = None


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    global _warden
    chores = reconciler.Reconciler(reconciler.CHORES, name="lro-chores")
    _reconcilers[:] = [reconciler.Reconciler(then=chores), chores]
    for each in _reconcilers:
        each.start()
    _warden = Warden(sender)
    _warden.start()


@worker_shutting_down.connect
def _shut_down(**_: Any) -> None:
    """Ask the attempts to stop at their next checkpoint; what does not is given back when the time is over."""
    shutdown.ask()
    for each in _reconcilers:
        each.stop()
    timer = threading.Timer(conf().shutdown_seconds, _end_attempts)
    timer.daemon = True
    timer.start()


def _end_attempts() -> None:
    running = _running()
    try:
        reconciler.give_back(os.getpid())
    finally:
        connection.close()
        for pid in running:
            _kill(pid)
