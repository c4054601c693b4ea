"""Rows from a source to the parts of a dataset: batch after batch, each in one transaction with its rejects."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from lro import Fail, OperationContext

from . import parts
from .batches import Batch, Source, tallied
from .column_types import TypeTally
from .models import Dataset, Part
from .progress import Progress
from .reading_ahead import one_ahead
from .refusals import Refusal
from .reject_limits import RejectLimit
from .table_schema import Schema

TOO_MANY = "too_many_rejects"
_MEGABYTE = 1_000_000
#: At most so many seconds lie between two events of batches.
_NEWS_SECONDS = 1.0
_LAST_PART = 2**31 - 1


class BatchRun:
    """Reads `source`, which has `size` bytes, to its end; the parts are numbered `first_part` to `last_part`."""

    def __init__(
        self,
        op: OperationContext,
        dataset: Dataset,
        source: Source,
        schema: Schema,
        limit: RejectLimit,
        *,
        size: int,
        first_part: int = 0,
        last_part: int = _LAST_PART,
    ) -> None:
        self.op, self.dataset, self.source = op, dataset, source
        self.schema, self.limit, self.size = schema, limit, size
        self.first_part, self.last_part = first_part, last_part
        self.done = self._resume()
        self._began = time.monotonic() - self.done.seconds
        self._told_at = time.monotonic()

    def work(self) -> Progress:
        """Raises Fail where there are too many rejects, or the file cannot be read any further."""
        self._report()
        self.remove_leftovers()
        with one_ahead(self._read()) as batches:
            for batch, tally in batches:
                self.op.check()
                self.judge()
                self._take(batch, tally)
                self._report()
        return self.done

    def _read(self) -> Generator[tuple[Batch, TypeTally], None, None]:
        try:
            yield from tallied(self.source.batches(self.done.source), self.done.tally.copy(), self.schema)
        except Refusal as refusal:
            raise Fail(refusal.code, refusal.message) from refusal

    def _own_parts(self) -> Any:
        return self.dataset.parts.filter(index__range=(self.first_part, self.last_part))

    def _resume(self) -> Progress:
        if self.op.cursor is None:
            if self._own_parts().exists():  # begun anew; whoever lost its lease deletes nothing
                self.op.checkpoint(None, save=lambda: self._own_parts().delete())
            return Progress(TypeTally(text_types=self.source.text_types))
        done = Progress.from_json(self.op.cursor)
        self.op.log(f"Going on after {done.rows_read:,} rows.")
        return done

    def remove_leftovers(self) -> None:
        """Delete the parts that an earlier attempt wrote and did not come to record."""
        self.dataset.folder.mkdir(parents=True, exist_ok=True)
        recorded = set(self._own_parts().values_list("file", flat=True))
        for path in self.dataset.folder.iterdir():
            if self._is_own(path.name) and path.name not in recorded:
                path.unlink(missing_ok=True)

    def _is_own(self, name: str) -> bool:
        """Whether no other process of this import writes that file: of unfinished ones that is not known."""
        number, _, writer = name.partition("-")
        if not number.isdigit():
            return self.last_part == _LAST_PART
        return self.first_part <= int(number) <= self.last_part and not self._is_of_successor(writer)

    def _is_of_successor(self, writer: str) -> bool:
        """Whether a later attempt wrote it, while this one had lost its lease and did not know yet."""
        operation, _, attempt = writer.removesuffix(".parquet").partition("-")
        return operation == self._name and attempt.isdigit() and int(attempt) > self.op.attempt

    @property
    def _name(self) -> str:
        return str(self.op.id)[-12:]

    def _take(self, batch: Batch, tally: TypeTally) -> None:
        kept = batch.rejects[: self.limit.room(self.done.recorded)]
        for reject in kept:
            self.op.reject(
                reject.line, reject.code, reject.message, column=reject.column, raw=reject.raw, offset=reject.offset
            )
        part = self._write_part(batch.table)
        self.done.tally = tally
        self.done.advance(batch, len(kept), part)
        self.op.checkpoint(self.cursor(), save=lambda: Part.objects.create(**part) if part else None)
        self._tell(batch)

    def _write_part(self, table: Any) -> dict[str, Any] | None:
        """The row that will tell of the part, once its file is whole."""
        if not table.num_rows:
            return None
        index = self.first_part + self.done.part
        # Each attempt writes under names of its own, so that a worker that lost its lease overwrites nothing.
        name = f"{index:06d}-{self._name}-{self.op.attempt}.parquet"
        size, sha256 = parts.write_part(table, self.dataset.folder / name)
        row = {"dataset": self.dataset, "index": index, "file": name}
        return row | {"rows": table.num_rows, "bytes": size, "sha256": sha256}

    def judge(self, *, at_end: bool = False) -> None:
        """Raise Fail where there are too many rejects; after a checkpoint, so that those that are kept can be seen."""
        too_many(self.limit, self.done, at_end=at_end)

    def cursor(self) -> dict[str, Any]:
        self.done.seconds = round(time.monotonic() - self._began, 3)
        return self.done.to_json()

    def _report(self) -> None:
        size, done = self.size / _MEGABYTE, self.done
        message = f"{done.fraction * size:.1f} of {size:.1f} MB"
        self.op.progress(done.rows_read, unit="rows", fraction=done.fraction, message=message)

    def _tell(self, batch: Batch) -> None:
        now = time.monotonic()
        if now - self._told_at >= _NEWS_SECONDS or batch.fraction >= 1:
            self._told_at = now
            done = self.done
            news = {
                "parts": done.part,
                "rows": done.rows,
                "rejected": done.rejected,
                "fraction": round(done.fraction, 4),
            }
            self.op.event("uploads.batch", news)


def too_many(limit: RejectLimit, done: Progress, *, at_end: bool) -> None:
    """Raise Fail where the import has met more rejects than the limit allows."""
    if limit.is_exceeded(done.rejected, done.rows_read, at_end=at_end):
        message = (
            f"{done.rejected:,} of {done.rows_read:,} rows cannot be imported, more than {limit} rows that may be."
        )
        raise Fail(TOO_MANY, f"{message} The first: {' '.join(done.first)}")
