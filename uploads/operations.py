"""`uploads.import`: a CSV or TSV file becomes a dataset; each row that cannot becomes a reject."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from lro import Operation, OperationContext, OperationTask, Problem, register

from . import refusals
from .models import Dataset, Upload
from .receiving import ReceivedFile, max_bytes
from .resumable import FinishedFile, finished_file, sha256_mismatch
from .serializers import ImportInput, ImportResult

#: The HTTP status of each way in which a file cannot be imported; 422 for the rest.
_STATUS = {"unsupported_format": 415, "header_too_long": 413}


@register("uploads.import")
class Import(OperationTask):
    """Import a CSV or TSV file as a dataset, with an exact list of the rows that could not be read."""

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
        types = _known_types(data.get("types") or {}, layout.columns)
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
            "types": types,
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


def _inspect(file: ReceivedFile | FinishedFile, filename: str, data: dict[str, Any]) -> Any:
    from . import layout

    try:
        return layout.inspect(file.path, filename, delimiter=data.get("delimiter"), encoding=data.get("encoding"))
    except refusals.Refusal as refusal:
        raise Problem(_STATUS.get(refusal.code, 422), refusal.code, refusal.message, refusal.details) from refusal


def _known_types(types: Any, columns: tuple[str, ...]) -> dict[str, str]:
    allowed = ("string", "integer", "number", "boolean", "date", "datetime")
    if not isinstance(types, dict):
        raise Problem(422, "invalid", "'types' must be an object that maps columns to types.", [{"pointer": "/types"}])
    for column, kind in types.items():
        place = {"pointer": f"/types/{column}"}
        if column not in columns:
            raise Problem(422, "unknown_column", f"The file has no column '{column}'.", [place])
        if kind not in allowed:
            raise Problem(422, "unknown_type", f"'{kind}' is no type; the types are {', '.join(allowed)}.", [place])
    return types


def _plain_name(name: str) -> str:
    """The sender's file name as a harmless label: no folders, no control or direction characters, at most 255 bytes."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    shown = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip() or "upload"
    while len(shown.encode()) > 255:
        shown = shown[1:]
    return shown
