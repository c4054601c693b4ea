"""One file imported by several processes: a child for each range, and their results joined in order."""

from __future__ import annotations

import time
from typing import Any

from lro import Fail, Operation, OperationContext

from .batch_run import TOO_MANY, BatchRun
from .blocks import Cursor
from .layout import Layout
from .models import Dataset, Upload
from .progress import Progress
from .ranges import Range, divide
from .reject_limits import RejectLimit
from .sources.delimited import DelimitedSource
from .table_schema import Schema

CHILD = "uploads.import-range"
#: How many part numbers a range has: more than 100 GB make.
_PARTS = 100_000


class RangedRun:
    """The parent: divides, waits, reads again what was divided wrongly, joins."""

    def __init__(
        self,
        op: OperationContext,
        upload: Upload,
        dataset: Dataset,
        layout: Layout,
        schema: Schema,
        limit: RejectLimit,
        count: int,
    ) -> None:
        self.op, self.upload, self.dataset, self.layout = op, upload, dataset, layout
        self.schema, self.limit = schema, limit
        if op.cursor is None:
            op.step("divide")
            found = divide(upload.path, layout, count, on_chunk=op.check)
            plan = [[start.offset, start.line, stop] for start, stop in found]
            dataset.folder.mkdir(parents=True, exist_ok=True)
            op.checkpoint({"ranges": plan, "began": time.time()})
        self._plan: dict[str, Any] = op.cursor or {}
        self.ranges = [Range(Cursor(offset, line), stop) for offset, line, stop in self._plan["ranges"]]

    def cursor(self) -> dict[str, Any]:
        return self._plan

    def work(self) -> Progress:
        for index, given in enumerate(self.ranges):
            self._spawn(index, given)
        joined = self._join()
        self.op.step("join")
        self.op.adopt_rejects(joined, limit=self.limit.room(0))
        counted = (Progress.from_json(_told(child)["done"]) for child in joined)
        done = Progress.of_ranges(counted, DelimitedSource.text_types)
        done.recorded, done.seconds = self.op.rejected, round(time.time() - self._plan["began"], 3)
        self._delete_parts_of_others(joined)
        return done

    def _spawn(self, index: int, given: Range) -> None:
        data = {
            "upload": str(self.upload.pk),
            "dataset": str(self.dataset.pk),
            "layout": self.layout.to_json(),
            "schema": self.schema.to_json(),
            "reject_limit": vars(self.limit),
            "range": [given.start.offset, given.start.line, given.stop],
            "index": index,
        }
        size = given.stop - given.start.offset
        self.op.spawn(CHILD, data, keys=[f"{index}:{given.start.offset}"], weight=max(size, 1))

    def _join(self) -> list[Operation]:
        """The children whose ranges follow each other without a gap; starts anew those that do not, and waits."""
        children = {child.child_key: child for child in self.op.gather()}
        joined: list[Operation] = []
        end = self.ranges[0].start if self.ranges else None
        for index, (_, stop) in enumerate(self.ranges):
            if end is None or end.offset >= stop:
                continue  # a record of the range before takes all of it
            key = f"{index}:{end.offset}"
            if key not in children:
                self.op.log(f"A border within quotes: reading again from line {end.line:,}.")
                self._spawn(index, Range(end, stop))
                children = {child.child_key: child for child in self.op.gather()}
            joined.append(children[key])
            if _told(children[key])["is_stopped"]:
                break
            end = Cursor(*_told(children[key])["end"])
        return joined

    def _delete_parts_of_others(self, joined: list[Operation]) -> None:
        """Ranges that were swallowed by the record before them have no rows."""
        used = {child.input["index"] for child in joined}
        for index in range(len(self.ranges)):
            if index not in used:
                _parts(self.dataset, index).delete()

    def remove_leftovers(self) -> None:
        """The files of lost attempts, and of ranges that were read again."""
        recorded = set(self.dataset.parts.values_list("file", flat=True))
        for path in self.dataset.folder.iterdir():
            if path.name not in recorded:
                path.unlink(missing_ok=True)


def _told(child: Operation) -> dict[str, Any]:
    return child.result or {}


def _parts(dataset: Dataset, index: int) -> Any:
    return dataset.parts.filter(index__range=(index * _PARTS, (index + 1) * _PARTS - 1))


def import_range(op: OperationContext, upload: Upload, **given: Any) -> dict[str, Any]:
    """A child: the rows of one range, and where its last record ends."""
    offset, line, stop = given["range"]
    layout, schema, index = Layout.from_json(given["layout"]), Schema.from_json(given["schema"]), given["index"]
    source = DelimitedSource(upload.path, layout, schema, Range(Cursor(offset, line), stop))
    run = BatchRun(
        op,
        Dataset.objects.get(pk=given["dataset"]),
        source,
        schema,
        _own_limit(RejectLimit(**given["reject_limit"])),
        size=stop - offset,
        first_part=index * _PARTS,
        last_part=(index + 1) * _PARTS - 1,
    )
    is_stopped = False
    try:
        run.work()
    except Fail as failure:
        if failure.code != TOO_MANY:
            raise
        is_stopped = True  # the parent fails, with the words for the whole file
    end = run.done.source or {"offset": offset, "line": line}
    return {"done": run.done.to_json(), "end": [end["offset"], end["line"]], "is_stopped": is_stopped}


def _own_limit(whole: RejectLimit) -> RejectLimit:
    """A count is too many in a range already; a share is judged over all."""
    return RejectLimit(whole.count, None, whole.fails)
