"""One import, from the stored file to the ready dataset."""

from __future__ import annotations

import os
from typing import Any

from django.db.models.functions import Now

from lro import OperationContext

from .batch_run import BatchRun, too_many
from .layout import Layout
from .models import Dataset, Upload
from .progress import Progress
from .ranged_run import RangedRun
from .reject_limits import RejectLimit
from .sources import source_of
from .table_schema import Schema


class ImportRun:
    def __init__(
        self, op: OperationContext, upload: Upload, *, name: str, layout: dict[str, Any], **wanted: Any
    ) -> None:
        self.op, self.upload = op, upload
        self.layout = Layout.from_json(layout)
        self.schema = Schema.from_json(wanted["schema"])
        self.limit = RejectLimit(**wanted["reject_limit"])
        self.ranges: int = wanted["ranges"]
        self.dataset = self._open_dataset(name)

    def run(self) -> dict[str, Any]:
        self.op.event("uploads.detected", self._detected())
        run = self._run()
        done = run.work()
        too_many(self.limit, done, at_end=True)
        columns = [{"name": name, "type": kind} for name, kind in self._column_types(done).items()]
        values = {"columns": columns, "rows": done.rows, "bytes": done.bytes, "ready_at": Now()}
        rows = Dataset.objects.filter(pk=self.dataset.pk)
        self.op.checkpoint(run.cursor(), save=lambda: rows.update(**values))
        run.remove_leftovers()
        summary = self._summary(done, columns)
        facts = ("dataset", "name", "rows", "rejected", "bytes", "seconds")
        self.op.event("uploads.completed", {name: summary[name] for name in facts} | {"columns": len(columns)})
        return summary

    def _run(self) -> BatchRun | RangedRun:
        if self.ranges > 1:
            return RangedRun(self.op, self.upload, self.dataset, self.layout, self.schema, self.limit, self.ranges)
        self.op.step("parse")
        source = source_of(self.upload.path, self.layout, self.schema)
        return BatchRun(self.op, self.dataset, source, self.schema, self.limit, size=self.upload.size)

    def _open_dataset(self, name: str) -> Dataset:
        values = {"owner": self.upload.owner, "name": name, "sha256": self.upload.sha256}
        return Dataset.objects.get_or_create(operation_id=self.op.id, defaults=values)[0]

    def _column_types(self, done: Progress) -> dict[str, str]:
        return dict.fromkeys(self.layout.data_columns, "string") | done.tally.result() | self.schema.types

    def _detected(self) -> dict[str, Any]:
        layout = self.layout
        return {
            "format": layout.format,
            "compression": layout.compression,
            "sheet": layout.sheet,
            "encoding": layout.encoding,
            "delimiter": layout.delimiter,
            "columns": len(layout.data_columns),
            "warnings": list(layout.warnings)[:20],
            "worker_process": os.getpid(),
        }

    def _summary(self, done: Progress, columns: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "dataset": str(self.dataset.pk),
            "name": self.dataset.name,
            "rows": done.rows,
            "rejected": done.rejected,
            "recorded": done.recorded,
            "reject_codes": dict(done.codes),
            "bytes": done.bytes,
            "sha256": self.upload.sha256,
            "columns": columns,
            "format": self.layout.format,
            "compression": self.layout.compression,
            "sheet": self.layout.sheet,
            "encoding": self.layout.encoding,
            "delimiter": self.layout.delimiter,
            "warnings": list(self.layout.warnings)[:100],
            "seconds": done.seconds,
        }
