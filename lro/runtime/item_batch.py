"""Some items of an `ItemOperation` in one fenced transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F

from ..conf import conf
from ..events import journal
from ..exceptions import Interrupted, ItemFailed, LeaseLost, RejectItem, Snooze, Wait
from ..lifecycle.leases import held_by
from ..models import Operation
from ..states import State
from ..storable import storable
from . import rejects
from .sources import Keyed, Place

if TYPE_CHECKING:
    from .item_run import ItemRun

#: How `process` and the runtime end an attempt without an error.
ENDINGS = (Interrupted, LeaseLost, Snooze, Wait)
#: Deadlock and failed serialization: the transaction is tried again, so many times.
_CONFLICTS = ("40P01", "40001")
_CONFLICT_TRIES = 3
_SAMPLE_ITEMS = 10
_SAMPLE_BYTES = 8 * 1024


class Batch:
    """Some items in one transaction: what `process` writes, the rejects, the place and the event, or nothing of it."""

    def __init__(self, run: ItemRun, start: Place) -> None:
        self._run, self._start = run, start
        self._task, self._op, self._source, self._is_dry = run.task, run.op, run.source, run.is_dry
        self._conflicts = 0
        self.place = start
        self.items: list[Keyed] = []
        self.rejects: list[dict[str, Any]] = []
        self.is_stopping = False

    @property
    def span(self) -> dict[str, Any]:
        """Where the batch stands, for an error that no single item made."""
        ends = [key for key, _ in self.items[:1] + self.items[-1:]]
        return {"items": ends, "position": self._start.done}

    def process(self, items: list[Keyed]) -> None:
        """Within the fenced transaction; from the start, whatever an earlier try did."""
        self.place, self.items, self.rejects = self._start, items, []
        _release_the_row_if_this_process_hangs()
        self.is_stopping = self._is_asked_to_stop()
        if not self.is_stopping:
            with _without_trace() if self._is_dry else nullcontext():
                self._process_until_due()
        self._write(at_once=self.is_stopping or len(items) < self._run.limit)

    def _process_until_due(self) -> None:
        deadline = time.monotonic() + self._task.batch_seconds
        for key, item in self.items:
            try:
                self._process_one(key, item)
                self._op.check()
            except Interrupted:
                self.is_stopping = True
                break
            is_bad = self._run.is_too_bad(self.place, self.place.total)
            if is_bad or time.monotonic() >= deadline:
                break

    def _process_one(self, key: Any, item: Any) -> None:
        where = {"item": key, "position": self.place.done}
        sample, rejected = self.place.sample, self.place.rejected
        try:
            with transaction.atomic():
                sample = self._sampled(key, item)
        except RejectItem as reject:
            if transaction.get_rollback():  # it could not be undone alone, as the connection is lost
                raise InterfaceError("An item was rejected when the connection was lost.") from reject
            rejected += 1
            self.rejects.append(self._as_row(reject, key, item))
        except ENDINGS:
            raise
        except (OperationalError, InterfaceError) as error:
            if self._is_endless(error):
                raise ItemFailed(error, where) from error
            raise  # the whole batch is tried again
        except Exception as error:
            raise ItemFailed(error, where) from error
        after = key if self._source.is_keyed else None
        self.place = replace(self.place, done=self.place.done + 1, after=after, rejected=rejected, sample=sample)

    def _sampled(self, key: Any, item: Any) -> list[dict[str, Any]]:
        """Process the item, and show the first ones of a dry run before and after."""
        sample, describe = self.place.sample, self._task.describe
        if not self._is_dry or len(sample) >= _SAMPLE_ITEMS:
            self._task.process(item)
            return sample
        before = describe(item)
        self._task.process(item)
        stored = self._source.as_stored(key, item)
        after = None if stored is None else describe(stored)
        if before is None and after is None:
            return sample
        shown = {"item": key, "before": before, "after": after}
        return [*sample, storable(shown, what="description of an item", max_bytes=_SAMPLE_BYTES)]

    def _as_row(self, reject: RejectItem, key: Any, item: Any) -> dict[str, Any]:
        raw = reject.raw if reject.raw is not None else str(key if self._source.is_keyed else item)
        return rejects.row(self.place.done, reject.code, reject.message, column=reject.column, raw=raw)

    def _is_endless(self, error: Exception) -> bool:
        """Whether there was a deadlock or the like too often; a lost connection has a limit of its own, by time."""
        self._conflicts += getattr(error.__cause__, "sqlstate", None) in _CONFLICTS
        return self._conflicts > _CONFLICT_TRIES

    def _is_asked_to_stop(self) -> bool:
        """The operation's row is locked by now, so whoever wants to stop it came before, or waits for this batch."""
        state = Operation.objects.filter(pk=self._op.id).values_list("state", flat=True).get()
        return bool(state != State.RUNNING)

    def _write(self, *, at_once: bool) -> None:
        """One statement for cursor, counters and progress, and the events of them."""
        op, count = self._op, len(self.rejects)
        rejects.insert(op.id, self.rejects)
        entries, changes = self._run.progress(self.place, at_once=at_once)
        if count:
            entries.insert(0, ("reject", rejects.news(self.rejects, op.rejected + count)))
        cursor = storable(asdict(self.place), what="checkpoint", max_bytes=conf().input_max_bytes)
        changes |= {"checkpoint": cursor, "rejected": F("rejected") + count}
        if journal.append(op.id, entries, where=held_by(op._held.fence), **changes) is None:
            raise LeaseLost


def _release_the_row_if_this_process_hangs() -> None:
    """Or is frozen: a lock that it kept would keep everybody from stopping and rescuing the operation."""
    if connection.vendor == "postgresql":
        milliseconds = int(conf().self_fence_seconds * 1000)
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}")


@contextmanager
def _without_trace() -> Iterator[None]:
    with transaction.atomic():
        yield
        connection.check_constraints()  # what a real run would be refused at its commit
        transaction.set_rollback(True)
