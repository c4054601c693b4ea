"""Undo a run by what it kept of the old values: no code of the migration is needed, and none is run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet, Sum

from lro import OperationContext

from . import images
from .batches import Outcome
from .models import BeforeImage, Run
from .running import Order, Running
from .state import State, StepState

STEP = "restore"
_ENOUGH_SECONDS = 0.05


def has_images(run: Run) -> bool:
    return _images([run.pk, *_retries(run)]).exists()


class Restoring(Running):
    """Image after image, the newest first, also those of the retries of the run's rejected records."""

    def __init__(self, op: OperationContext, order: Order) -> None:
        super().__init__(op, order)
        if op.cursor is None:
            self.state = State([StepState(STEP)])

    def restore(self, run: Run) -> State:
        runs = [run.pk, *_retries(run)]
        if self.op.cursor is None:
            self.state.steps[0].rows = _images(runs).aggregate(total=Sum("records"))["total"] or 0
        self.show_rows()
        while not self.state.steps[0].is_done:
            self.throttle()
            began = time.monotonic()
            self.commit(lambda state: self._undo_some(state, runs))
            self.state.timed(0, time.monotonic() - began)
            self.show_rows()
            self.wait(self.order.pause)
        return self.state

    def _undo_some(self, state: State, runs: Sequence[UUID]) -> None:
        own, began = state.steps[0], time.monotonic()
        while time.monotonic() - began < _ENOUGH_SECONDS:
            image = _next(runs, own.after)
            if image is None:
                own.is_done = True
                return
            position = own.processed
            outcome = _undone(image)
            own.add(outcome)
            own.after = str(image.pk)
            for number, (key, code, message, column) in enumerate(outcome.rejects):
                self.op.reject(position + number, code, message, column=column, raw=f"{image.step} {key}")

    def show_rows(self) -> None:
        self.op.progress(self.state.processed, self.state.total(), unit="rows")


def _undone(image: BeforeImage) -> Outcome:
    counts, stale = images.restore(image.changes)
    restored = sum(sum(kinds.values()) for kinds in counts.values())
    outcome = Outcome(processed=restored + len(stale), changed=restored)
    outcome.written.update(counts)
    message = "It was changed again since, and is left as it is."
    outcome.rejects = [(f"{model} {key}", "changed_since", message, "") for model, key in stale]
    return outcome


def _next(runs: Sequence[UUID], after: str | None) -> BeforeImage | None:
    rows = _images(runs)
    return (rows if after is None else rows.filter(pk__lt=int(after))).order_by("-pk").first()


def _images(runs: Sequence[UUID]) -> QuerySet[BeforeImage]:
    return BeforeImage.objects.filter(run_id__in=runs)


def _retries(run: Run) -> list[UUID]:
    return list(run.followers.filter(kind="retry").values_list("pk", flat=True))
