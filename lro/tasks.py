"""The Celery side: one body, one named task per operation, and what a worker does besides running them."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any
from uuid import UUID

from celery import Task, current_app
from celery.signals import worker_ready, worker_shutting_down
from celery.worker.request import Request
from django.db import connection

from .runtime import executor, reconciler, registry

logger = logging.getLogger(__name__)


class OperationRequest(Request):
    """Sees the death of a pool process at once, in the worker's main process."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        if not isinstance(exc_info.exception, Exception) or "WorkerLost" in type(exc_info.exception).__name__:
            threading.Thread(target=_rescue, args=(self.worker_pid,), name="lro-rescue", daemon=True).start()
        return super().on_failure(exc_info, send_failed_event, return_ok)


class OperationCeleryTask(Task):  # type: ignore[type-arg]
    Request = OperationRequest  # type: ignore[assignment]
    abstract = True
    acks_late = False
    ignore_result = True
    max_retries = 0

    def run(self, operation_id: str) -> None:
        executor.execute(UUID(operation_id))


def declare() -> None:
    """Give every registered operation its Celery task, so that workers, routes and logs speak its name."""
    for cls in registry.all_classes():
        if cls.name not in current_app.tasks:
            task = type(cls.__name__, (OperationCeleryTask,), {"name": cls.name, "__module__": cls.__module__})
            current_app.register_task(task())


def _rescue(pid: int) -> None:
    try:
        reconciler.rescue_of(os.getpid(), pid)
    finally:
        connection.close()
    if _reconciler is not None:
        _reconciler.soon()


_reconciler: reconciler.Reconciler | None = None


@worker_ready.connect
def _start_reconciler(**_: Any) -> None:
    global _reconciler
    _reconciler = reconciler.Reconciler()
    _reconciler.start()


@worker_shutting_down.connect
def _stop_reconciler(**_: Any) -> None:
    if _reconciler is not None:
        _reconciler.stop()
