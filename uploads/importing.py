"""One import: batch after batch, each with its rows, rejects and cursor in one transaction."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models.functions import Now

from lro import Fail, OperationContext

from . import column_types, parts
from .batches import Batch
from .layout import Layout
from .models import Dataset, Part, Upload
from .refusals import Refusal
from .sources import source_of

_MEGABYTE = 1_000_000


@dataclass
class Progress:
    """What the checkpoint holds: the source's cursor of the next batch, and what came before it."""

    source: dict[str, Any] | None = None
    fraction: float = 0.0
    part: int = 0
    rows: int = 0
    rejected: int = 0
    bytes: int = 0
    seconds: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)
    tally: Any = None


class ImportRun:
    def __init__(
        self, op: OperationContext, upload: Upload, *, name: str, layout: dict[str, Any], **wanted: Any
    ) -> None:
        self.op, self.upload = op, upload
        self.layout = Layout.from_json(layout)
        self.types: dict[str, str] = wanted.get("types") or {}
        self.dataset = self._open_dataset(name)
        self.source = source_of(upload.path, self.layout, self.types)
        self.tally = column_types.TypeTally(text_types=self.source.text_types)
        self.done = self._resume()
        self.began = time.monotonic() - self.done.seconds

    def run(self) -> dict[str, Any]:
        self.op.event("uploads.detected", self._detected())
        self.op.step("parse")
        self._report()
        self._remove_leftovers()
        for batch in self._batches():
            self.op.check()
            self._take(batch)
            self._report()
        self._finish()
        return self._summary()

    def _batches(self) -> Iterator[Batch]:
        try:
            yield from self.source.batches(self.done.source)
        except Refusal as refusal:
            raise Fail(refusal.code, refusal.message) from refusal

    def _open_dataset(self, name: str) -> Dataset:
        values = {"owner": self.upload.owner, "name": name, "sha256": self.upload.sha256}
        return Dataset.objects.get_or_create(operation_id=self.op.id, defaults=values)[0]

    def _resume(self) -> Progress:
        if self.op.cursor is None:
            self.dataset.parts.all().delete()
            return Progress()
        done = Progress(**self.op.cursor)
        done.codes = Counter(done.codes)
        self.tally = column_types.TypeTally.from_json(done.tally)
        self.op.log(f"Going on after {done.rows + done.rejected:,} rows.")
        return done

    def _remove_leftovers(self) -> None:
        """Delete the parts that an earlier attempt wrote and did not come to record."""
        self.dataset.folder.mkdir(parents=True, exist_ok=True)
        recorded = set(self.dataset.parts.values_list("file", flat=True))
        for path in self.dataset.folder.iterdir():
            if path.name not in recorded:
                path.unlink(missing_ok=True)

    def _take(self, batch: Batch) -> None:
        for reject in batch.rejects:
            self.op.reject(
                reject.line, reject.code, reject.message, column=reject.column, raw=reject.raw, offset=reject.offset
            )
        self.tally.add(batch.table.drop_columns([name for name in batch.table.column_names if name in self.types]))
        part = self._write_part(batch.table)
        self._advance(batch, part)
        self.op.checkpoint(self._cursor(), save=lambda: Part.objects.create(**part) if part else None)

    def _write_part(self, table: Any) -> dict[str, Any] | None:
        """The row that will tell of the part, once its file is whole."""
        if not table.num_rows:
            return None
        # Each attempt writes under names of its own, so that a worker that lost its lease overwrites nothing.
        name = f"{self.done.part:06d}-{self.op.attempt}.parquet"
        size, sha256 = parts.write_part(table, self.dataset.folder / name)
        row = {"dataset": self.dataset, "index": self.done.part, "file": name}
        return row | {"rows": table.num_rows, "bytes": size, "sha256": sha256}

    def _advance(self, batch: Batch, part: dict[str, Any] | None) -> None:
        done = self.done
        done.source, done.fraction = batch.cursor, batch.fraction
        done.rows += batch.table.num_rows
        done.rejected += len(batch.rejects)
        done.codes.update(reject.code for reject in batch.rejects)
        if part is not None:
            done.part += 1
            done.bytes += part["bytes"]

    def _cursor(self) -> dict[str, Any]:
        self.done.seconds = round(time.monotonic() - self.began, 3)
        return {**vars(self.done), "codes": dict(self.done.codes), "tally": self.tally.to_json()}

    def _report(self) -> None:
        size, done = self.upload.size / _MEGABYTE, self.done
        message = f"{done.fraction * size:.1f} of {size:.1f} MB"
        self.op.progress(done.rows + done.rejected, unit="rows", fraction=done.fraction, message=message)

    def _finish(self) -> None:
        columns = [{"name": name, "type": kind} for name, kind in self._column_types().items()]
        values = {"columns": columns, "rows": self.done.rows, "bytes": self.done.bytes, "ready_at": Now()}
        rows = Dataset.objects.filter(pk=self.dataset.pk)
        self.op.checkpoint(self._cursor(), save=lambda: rows.update(**values))
        self._remove_leftovers()

    def _column_types(self) -> dict[str, str]:
        """The type of each column, in the order in which the file names them; some formats name more on the way."""
        return dict.fromkeys(self.layout.columns, "string") | self.tally.result() | self.types

    def _detected(self) -> dict[str, Any]:
        layout = self.layout
        return {
            "format": layout.format,
            "compression": layout.compression,
            "sheet": layout.sheet,
            "encoding": layout.encoding,
            "delimiter": layout.delimiter,
            "columns": len(layout.columns),
            "warnings": list(layout.warnings)[:20],
            "worker_process": os.getpid(),
        }

    def _summary(self) -> dict[str, Any]:
        return {
            "dataset": str(self.dataset.pk),
            "name": self.dataset.name,
            "rows": self.done.rows,
            "rejected": self.done.rejected,
            "reject_codes": dict(self.done.codes),
            "bytes": self.done.bytes,
            "sha256": self.upload.sha256,
            "columns": [{"name": name, "type": kind} for name, kind in self._column_types().items()],
            "format": self.layout.format,
            "compression": self.layout.compression,
            "sheet": self.layout.sheet,
            "encoding": self.layout.encoding,
            "delimiter": self.layout.delimiter,
            "warnings": list(self.layout.warnings)[:100],
            "seconds": self.done.seconds,
        }
