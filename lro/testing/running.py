"""Run operations in this process, without a broker, a worker or a wait."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from ..lifecycle import leases, retries, transitions
from ..models import Operation
from ..runtime import executor, fan_out, reconciler, submission
from ..states import State
from . import faults

_ROUNDS = 1_000


def run_operation(name: str, data: dict[str, Any], owner: Any) -> Operation:
    """Submit it and run whatever is due, retries and children included, until nothing is; the operation as it is then.

    A back-off or a snooze is not waited for. Raises DRF's `ValidationError` for an input that is not valid.
    """
    operation = submission.submit(name, data, owner).operation
    run_due()
    operation.refresh_from_db()
    return operation


def run_attempt(name: str, data: dict[str, Any], owner: Any) -> Operation:
    """Submit it and run its first attempt, and nothing after it; the operation as it is then."""
    operation = submission.submit(name, data, owner).operation
    executor.execute(operation.pk)
    operation.refresh_from_db()
    return operation


def run_due() -> None:
    """Run all that is queued, or will be once its pause is over. Raises AssertionError where there is no end."""
    for _ in range(_ROUNDS):
        reconciler.reconcile([reconciler.requeue_due, fan_out.stop_families, fan_out.pause_families])
        Operation.objects.filter(state__in=[State.QUEUED, State.RETRYING]).update(run_at=Now())
        queued = Operation.objects.filter(leases.claimable()).order_by("id").values_list("pk", flat=True)
        due = list(queued)
        if not due and not Operation.objects.filter(state=State.RETRYING).exists():
            return
        for pk in due:
            _run(pk)
    raise AssertionError(f"Something is still due after {_ROUNDS} rounds: an operation that retries for ever?")


def _run(pk: UUID) -> None:
    for _ in range(faults.deliveries()):
        try:
            executor.execute(pk)
        except faults.Crash:
            crashed = Operation.objects.get(pk=pk)
            fan_out.follow_up(transitions.rescue(crashed, retries.lost("A test let it crash.")) or crashed)
