"""One attempt of an `ItemOperation`: batch after batch, from the place that the last one left."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import Count, F
from django.db.models.functions import Now

from ..conf import conf
from ..events import journal
from ..exceptions import Fail, Interrupted, ItemFailed, Snooze
from ..models import Reject
from .context import OperationContext
from .item_batch import ENDINGS, Batch
from .sources import Keyed, Place, source_of

if TYPE_CHECKING:
    from .items import ItemOperation

_LONGEST_WAIT = 60.0


class ItemRun:
    """One attempt: batch after batch, from the place that the last one left."""

    def __init__(self, task: ItemOperation, op: OperationContext, data: dict[str, Any], is_dry: bool) -> None:
        self.task, self.op, self._data, self.is_dry = task, op, data, is_dry
        self.source = source_of(lambda: task.items(**data), op.check)
        self.place = Place(**op.cursor) if op.cursor else Place(total=op._persevere(lambda: task.count(**data)))
        # After a crash item by item at first, to come as near as possible to the one that kills the process.
        self.limit = 1 if op._held.crashes else task.batch_items
        self._told_at = 0.0

    def run(self) -> dict[str, Any]:
        self._show(self.place)
        self.op.check()
        self._judge(self.place.total)
        began = time.monotonic()
        while self._do_batch():
            self._judge(self.place.total)
            self._wait(max(self.task.pause_between_batches, _room_for_others(time.monotonic() - began)))
            began = time.monotonic()
        self._judge(self.place.done)
        return self._summary()

    def _do_batch(self) -> bool:
        """Process and commit the next items; False where none is left."""
        self._throttle()
        ready = None if self.source.is_locking else self.op._persevere(self._take)
        if ready == []:
            return False
        batch = Batch(self, self.place)

        def save() -> None:
            nonlocal ready
            items, ready = ready, None  # a second try reads them anew
            batch.process(self._take() if items is None else items)

        try:
            self.op.checkpoint(self.op.cursor, save=save)
        except (*ENDINGS, ItemFailed):
            raise
        except Exception as error:  # of the whole batch, as a constraint that is looked at in COMMIT
            raise ItemFailed(error, batch.span) from error
        self._follow(batch)
        if batch.is_stopping:
            raise Interrupted
        return bool(batch.items)

    def _take(self) -> list[Keyed]:
        return self.source.take(self.place, self.limit, self.task.batch_seconds)

    def _follow(self, batch: Batch) -> None:
        processed = batch.place.done - self.place.done
        self.place = batch.place
        self.op.cursor = asdict(batch.place)
        self.op.rejected += len(batch.rejects)
        self.source.give_back(batch.items[processed:])
        taken = processed if processed < len(batch.items) else self.limit
        self.limit = min(self.task.batch_items, max(1, 2 * taken))

    # Stopping and waiting

    def is_too_bad(self, place: Place, all_items: int | None) -> bool:
        limit = self.task.max_rejects
        if isinstance(limit, float):
            return all_items is not None and place.rejected > limit * all_items
        return limit is not None and place.rejected > limit

    def _judge(self, all_items: int | None) -> None:
        if self.is_too_bad(self.place, all_items):
            limit, place = self.task.max_rejects, self.place
            allowed = f"{limit:.3g} of all" if isinstance(limit, float) else f"{limit:,}"
            message = f"{place.rejected:,} of {place.done:,} {self.task.unit} were rejected, {allowed} are allowed."
            raise Fail("too_many_rejects", message, [{"rejected": place.rejected, "done": place.done}])

    def _throttle(self) -> None:
        """Wait as long as `throttle_if` asks for it, and give the worker back where that takes long."""
        began: float | None = None
        while seconds := self.op._persevere(self.task.throttle_if):
            so_far = 0.0 if began is None else time.monotonic() - began
            if so_far + seconds > _LONGEST_WAIT:
                raise Snooze("It is throttled.", after=seconds)
            if began is None:
                began = time.monotonic()
                self.op.progress(message="It is throttled, and waits.")
                self.op.log("It is throttled, and waits.", seconds=seconds)
            self._wait(seconds)
        if began is not None:
            self.op.progress(message="")

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.op.check()
            time.sleep(min(left, 0.1))

    # What is told

    def _show(self, place: Place) -> None:
        meter = self.op._meter
        meter.current, meter.total, meter.unit = place.done, place.total, self.task.unit
        meter.rejected = self.op.rejected + place.rejected - self.place.rejected

    def progress(self, place: Place, *, at_once: bool) -> tuple[list[journal.Entry], dict[str, Any]]:
        """The event and the columns that tell how far it came; left to the heartbeat where the last are fresh."""
        self._show(place)
        if not at_once and time.monotonic() - self._told_at < conf().progress_seconds:
            return [], {}
        self._told_at = time.monotonic()
        snapshot = self.op._meter.snapshot()
        return [("progress", snapshot)], {"progress": snapshot, "stalls_at": Now() + F("max_stall")}

    def _summary(self) -> dict[str, Any]:
        codes = Reject.objects.filter(operation_id=self.op.id).order_by("code").values("code").annotate(n=Count("pk"))
        place = self.place
        summary = {
            "processed": place.done - place.rejected,
            "rejected": place.rejected,
            "reject_codes": self.op._persevere(lambda: dict(codes.values_list("code", "n"))),
            "dry_run": self.is_dry,
        }
        return summary | ({"sample": place.sample} if self.is_dry else {})


def _room_for_others(batch_seconds: float) -> float:
    """SQLite does not line up its writers, each looks every 0.1 s: a stop might never find the door open."""
    return min(0.12, batch_seconds / 4) if connection.vendor == "sqlite" else 0.0
