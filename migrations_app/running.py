"""One attempt at some steps: batch after batch, each in one fenced transaction, from where the last attempt came to."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from lro import Fail, OperationContext, Snooze

from . import batches, planning, trying
from .declaration import DataMigration, Step
from .models import BeforeImage
from .sources import EVERYTHING, Again, Range, Rows, Table, Taken, source_of
from .state import State, StepState

#: What a batch's transaction should take; 95 of 100 shall take less than 0.25 s.
_TARGET_SECONDS = 0.1
_DEADLINE_SECONDS = 0.2
_FIRST_BATCH = 100
_LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Order:
    """What is to be done: the same for a whole run and for a shard of it."""

    migration: type[DataMigration]
    steps: Sequence[type[Step]]
    parameters: Mapping[str, Any]
    #: The run that before-images belong to.
    run: UUID
    is_dry: bool = False
    is_reverse: bool = False
    max_errors: int = 1_000
    pause: float = 0.0
    keys: Range = EVERYTHING
    #: By step, the only records to be processed.
    only: Mapping[str, Sequence[str]] | None = None


class Running:
    def __init__(self, op: OperationContext, order: Order) -> None:
        self.op, self.order = op, order
        names = [step.name for step in order.steps]
        self.state = State.from_cursor(op.cursor) if op.cursor else State([StepState(name) for name in names])
        self._steps = {step.name: step(order.parameters) for step in order.steps}
        self._limit = _FIRST_BATCH

    def run(self) -> State:
        self._estimate()
        for index, step in enumerate(self.order.steps):
            if not self.state.steps[index].is_done:
                self.do(index, self._steps[step.name])
        return self.state

    def do(self, index: int, step: Step) -> None:
        source = self.source(step)
        self.begin(index, step, source)
        self._limit = _FIRST_BATCH
        self.show(step)
        self.judge()
        while self._do_batch(index, step, source):
            self.show(step)
            self.judge()
            self.wait(self.order.pause)

    def source(self, step: Step) -> Any:
        source: Rows | Table = source_of(step.source(), self.order.keys)
        if self.order.only is not None:
            return Again(source, self.order.only.get(step.name, ()))
        return source

    def _estimate(self) -> None:
        """How many records there are for all steps, so that a share of it all can be told."""
        if self.op.cursor is None:
            for own in self.state.steps:
                own.rows = self.source(self._steps[own.name]).count()

    def begin(self, index: int, step: Step, source: Any) -> None:
        """Tell that a step begins; its records are counted once more, as earlier steps may have made some."""
        if self.state.steps[index].is_begun:
            return
        rows = source.count() if index else self.state.steps[index].rows

        def note(state: State) -> None:
            state.steps[index].rows, state.steps[index].is_begun = rows, True
            self.op.step(step.name)
            self.op.event("migrations.step_started", {"step": step.name, "rows": rows})

        self.commit(note)

    def _do_batch(self, index: int, step: Step, source: Any) -> bool:
        """Whether there may be more. What ends the step is in the transaction that finds nothing left."""
        self.throttle()
        limit, began = min(self._limit, step.batch_records), time.monotonic()
        found, worked = 0, 0.0

        def work(state: State) -> None:
            nonlocal found, worked
            own, start = state.steps[index], time.monotonic()
            taken = source.take(own.after, limit)
            found = len(taken)
            if found:
                outcome = self._process(step, source, taken, state)
                worked = time.monotonic() - start
                self._record(state, own, taken, outcome)
            else:
                own.is_done = True
                self.op.event("migrations.step_completed", own.report())

        self.commit(work)
        if found:
            seconds = time.monotonic() - began
            self.state.timed(index, seconds)  # of the commit too, so it is kept with the next one
            self._adapt(limit, worked)
        return found > 0

    def commit(self, work: Callable[[State], None]) -> None:
        """One fenced transaction; where it is tried again, it begins with the state as it was."""
        state = self.state

        def save() -> None:
            nonlocal state
            state = deepcopy(self.state)
            _release_rows_if_this_process_hangs()
            with _collector_paused():
                work(state)

        self.op.checkpoint(lambda: state.cursor(), save=save)
        self.state = State.from_cursor(self.op.cursor)

    def _process(self, step: Step, source: Any, taken: Taken, state: State) -> batches.Outcome:
        order = self.order
        deadline = time.monotonic() + _DEADLINE_SECONDS
        samples = state.wanted_samples(step.name) if order.is_dry else 0
        keeps = order.migration.keep_old_values and not order.is_dry and not order.is_reverse
        make = partial(batches.Batch, step, is_reverse=order.is_reverse, keeps_images=keeps, samples=samples)
        if not order.is_dry:
            return trying.attempt(make, taken, deadline, source.again)
        with transaction.atomic():
            outcome = self._tried(make, step, source, taken)
            transaction.set_rollback(True)
        return outcome

    def _tried(self, make: trying.Make, step: Step, source: Any, taken: Taken) -> batches.Outcome:
        """What would come of the records after the steps before this one, which may have left nothing to be done."""
        rehearsed = self._rehearse(step, source, taken)
        if not len(rehearsed):
            return batches.Outcome(processed=len(taken), last=taken.keys[-1])
        outcome = trying.attempt(make, rehearsed, time.monotonic() + _DEADLINE_SECONDS, source.again)
        if outcome.last == rehearsed.keys[-1]:
            outcome.processed, outcome.last = len(taken), taken.keys[-1]
        return outcome

    def _rehearse(self, step: Step, source: Any, taken: Taken) -> Taken:
        """In a dry run the steps before this one were rolled back: they are done again to the same records."""
        if self.order.is_reverse:
            return taken
        for before in planning.before(type(step)):
            earlier = before(self.order.parameters)
            if source_of(earlier.source()).model is source.model is not None:
                trying.attempt(partial(batches.Batch, earlier), taken, time.monotonic() + 1, source.again)
                taken = source.again(taken.keys)
        return taken

    def _record(self, state: State, own: StepState, taken: Taken, outcome: batches.Outcome) -> None:
        first = state.processed
        places = {key: first + index for index, key in enumerate(taken.keys)} if outcome.rejects else {}
        own.add(outcome)
        state.sampled(own.name, outcome)
        for key, code, message, column in outcome.rejects:
            self.op.reject(places[key], code, message, column=column, raw=f"{own.name} {key}")
        if outcome.images:
            BeforeImage.objects.create(
                run_id=self.order.run, step=own.name, records=outcome.changed, changes=outcome.images
            )

    # The pace

    def _adapt(self, limit: int, seconds: float) -> None:
        """By the time that the records took: what a transaction costs by itself no smaller batch would save."""
        self._limit = max(1, int(limit * min(2.0, max(0.5, _TARGET_SECONDS / max(seconds, 1e-4)))))

    def throttle(self) -> None:
        began = time.monotonic()
        is_told = False
        while seconds := self.order.migration.throttle_if():
            if not is_told:
                self.op.event("migrations.throttled", {"seconds": seconds})
                self.op.progress(message="It is throttled, and waits.")
                is_told = True
            if time.monotonic() - began + seconds > _LONGEST_WAIT:
                raise Snooze("It is throttled.", after=seconds)
            self.wait(seconds)
        if is_told:
            self.op.progress(message="")

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.op.check()
            time.sleep(min(left, 0.1))

    # What is told

    def judge(self) -> None:
        failed, allowed = self.state.failed, self.order.max_errors
        if failed > allowed:
            message = f"{failed:,} of {self.state.processed:,} records failed, {allowed:,} are allowed."
            raise Fail("too_many_errors", message, [{"failed": failed, "processed": self.state.processed}])

    def show(self, step: Step) -> None:
        self.op.progress(self.state.processed, self.state.total(), unit=step.unit)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """For a tenth of a second: thousands of records that live through it would be looked at again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _release_rows_if_this_process_hangs() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '20s'")
