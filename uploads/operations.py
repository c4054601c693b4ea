"""`uploads.import`: a file of rows becomes a dataset; each row that cannot becomes a reject."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from lro import Operation, OperationContext, OperationTask, Problem, cleanup, datasets, register

from . import (
    leftovers,  # noqa: F401  # its chore
    publishing,
    refusals,
)
from .declarations import declared_limit, declared_ranges, declared_schema
from .models import Dataset, Upload
from .receiving import ReceivedFile, max_bytes
from .resumable import FinishedFile, finished_file, sha256_mismatch, unknown_upload
from .serializers import ImportInput, ImportResult, PublishInput, PublishResult

#: The HTTP status of each way in which a file cannot be imported; 422 for the rest.
_STATUS = {"unsupported_format": 415, "header_too_long": 413}


@register("uploads.import")
class Import(OperationTask):
    """Import a file of rows (CSV, TSV, JSON Lines, XLSX, Parquet) as a dataset, and list each row that is not read."""

    input_serializer = ImportInput
    result_serializer = ImportResult

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        """Look at the head of the file, refuse what is no table, and keep the rest."""
        file: ReceivedFile | FinishedFile = data.get("file") or finished_file(owner, data["upload"])
        filename = _plain_name(file.name or "")
        if file.is_too_large:
            message = f"The file has {file.size:,} bytes, at most {max_bytes():,} are allowed."
            raise Problem(413, "upload_too_large", message)
        if data.get("sha256", file.sha256).lower() != file.sha256:
            raise sha256_mismatch(file.sha256, data["sha256"])
        layout = _inspect(file, filename, data)
        schema, limit = declared_schema(data, layout.data_columns), declared_limit(data)
        ranges = declared_ranges(data, layout, file.size or 0)
        upload = Upload(owner=owner, filename=filename, size=file.size or 0, sha256=file.sha256)
        file.keep_as(upload.path)
        upload.save(force_insert=True)
        name = data.get("name") or filename
        return {
            "upload": str(upload.pk),
            "filename": filename,
            "name": name,
            "sha256": file.sha256,
            "layout": layout.to_json(),
            "schema": schema.to_json(),
            "reject_limit": vars(limit),
            "ranges": ranges,
        }

    @classmethod
    def identity(cls, prepared: dict[str, Any]) -> Any:
        return {key: value for key, value in prepared.items() if key != "upload"}

    @classmethod
    def discard(cls, prepared: dict[str, Any]) -> None:
        upload = Upload.objects.filter(pk=prepared["upload"]).first()
        if upload is not None:
            upload.path.unlink(missing_ok=True)
            upload.delete()

    @classmethod
    def forget(cls, operation: Operation) -> None:
        """The upload goes with its operation; its dataset stays, unless it never became ready."""
        for dataset in Dataset.objects.filter(operation_id=operation.pk, ready_at=None):
            if dataset.folder.exists():
                shutil.rmtree(dataset.folder)
            dataset.delete()
        cls.discard(operation.input)

    def run(self, op: OperationContext, *, upload: str, **wanted: Any) -> dict[str, Any]:
        from .importing import ImportRun  # polars and pyarrow may not be used before the worker forks

        return ImportRun(op, Upload.objects.get(pk=upload), **wanted).run()


@register("uploads.import-range")
class ImportRange(OperationTask):
    """A part of an import: the rows that begin in one range of a file's bytes."""

    is_internal = True

    def run(self, op: OperationContext, *, upload: str, **given: Any) -> dict[str, Any]:
        from .ranged_run import import_range

        return import_range(op, Upload.objects.get(pk=upload), **given)


@register("uploads.publish")
class Publish(OperationTask):
    """Copy a dataset into a table of the database, in a schema of its own: whole, or not at all."""

    input_serializer = PublishInput
    result_serializer = PublishResult
    permission = "uploads.publish_dataset"
    single_flight = "reject"

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        dataset = datasets.load(data["dataset"])
        try:
            publishing.check(data["table"], dataset.columns, data["if_exists"])
        except refusals.Refusal as refusal:
            status = 409 if refusal.code == "table_exists" else 422
            raise Problem(status, refusal.code, refusal.message, refusal.details) from refusal
        return data

    @classmethod
    def flight_key(cls, prepared: dict[str, Any]) -> str:
        return str(prepared["table"])

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        return [datasets.tag(prepared["dataset"])]

    @classmethod
    def forget(cls, operation: Operation) -> None:
        publishing.drop(publishing.staging_name(operation.pk))

    def run(self, op: OperationContext, *, dataset: str, table: str, if_exists: str) -> dict[str, Any]:
        return publishing.Publication(op, datasets.load(dataset), table, if_exists).run()


cleanup("uploads.drop-staging")(publishing.drop_unless_needed)


def _inspect(file: ReceivedFile | FinishedFile, filename: str, data: dict[str, Any]) -> Any:
    from . import inspection

    options = {option: data.get(option) for option in ("delimiter", "encoding", "header", "sheet")}
    try:
        return inspection.inspect(file.path, filename, **options)
    except refusals.Refusal as refusal:
        raise Problem(_STATUS.get(refusal.code, 422), refusal.code, refusal.message, refusal.details) from refusal
    except FileNotFoundError:
        raise unknown_upload(data.get("upload")) from None  # given up, or expired, at this moment


def _plain_name(name: str) -> str:
    """The sender's file name as a harmless label: no folders, no control or direction characters, at most 255 bytes."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    shown = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip() or "upload"
    while len(shown.encode()) > 255:
        shown = shown[1:]
    return shown
