"""Resumable uploads as rows and files: begun, found, brought to an end, and handed to an import."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import QueryDict
from django.utils import timezone

from lro import Problem, submit

from .models import ResumableUpload
from .receiving import max_bytes, sync_folder

_DAY_SECONDS = 24 * 60 * 60
_MOST_UNFINISHED = 100
_NO = ("false", "0", "no")


def lifetime() -> timedelta:
    """How long an upload is kept after its last byte."""
    return timedelta(seconds=settings.UPLOADS.get("EXPIRY_SECONDS", _DAY_SECONDS))


def expiry() -> Any:
    return timezone.now() + lifetime()


def create(owner: Any, length: int | None, metadata: str) -> ResumableUpload:
    """A new one, of which nothing came yet. Raises 429 where the owner has too many."""
    if ResumableUpload.objects.filter(owner=owner, sha256="").count() >= _MOST_UNFINISHED:
        message = f"You have {_MOST_UNFINISHED} unfinished uploads: finish or delete one of them."
        raise Problem(429, "quota", message)
    return ResumableUpload.objects.create(owner=owner, length=length, metadata=metadata, expires_at=expiry())


def find(owner_id: Any, pk: UUID) -> ResumableUpload:
    """Raises 404, also for another's, and 410 for one that has expired."""
    upload: ResumableUpload | None = ResumableUpload.objects.filter(owner_id=owner_id, pk=pk).first()
    if upload is None:
        raise gone(pk)
    if upload.expires_at < timezone.now():
        raise Problem(410, "upload_expired", f"The upload {pk} was not finished in time: begin a new one.")
    return upload


def gone(pk: Any) -> Problem:
    return Problem(404, "not_found", f"There is no upload {pk}.")


def offset_mismatch(upload: ResumableUpload, offset: int) -> Problem:
    message = f"The upload has {upload.offset:,} bytes, so the next ones cannot begin at {offset:,}."
    return Problem(409, "offset_mismatch", message)


def settle_length(upload: ResumableUpload, length: int | None) -> None:
    """Take the length that was not known before. Raises 400 where it was another."""
    if length is None or length == upload.length:
        return
    if upload.length is not None or length < upload.offset:
        known = f"at least {upload.offset:,}" if upload.length is None else f"{upload.length:,}"
        message = f"Upload-Length cannot be {length:,}: the file has {known} bytes."
        raise Problem(400, "invalid_header", message, [{"header": "Upload-Length", "message": message}])
    upload.length = length


def delete(upload: ResumableUpload) -> None:
    """The row first: whoever is still appending then has nothing to count its bytes in."""
    ResumableUpload.objects.filter(pk=upload.pk).delete()
    upload.path.unlink(missing_ok=True)


# The end


def seal(upload: ResumableUpload, digest: str | None = None) -> None:
    """All bytes are there: know their SHA-256, by `digest` or by reading them. Again is harmless.

    Raises 422 `sha256_mismatch` where the sender named another; wrong bytes are of no use, so they are deleted.
    """
    if not upload.sha256:
        upload.sha256 = digest or _sha256(upload.path)
        _verify(upload)
        ResumableUpload.objects.filter(pk=upload.pk).update(sha256=upload.sha256)


def start_import(upload: ResumableUpload) -> None:
    """Start the import, where the metadata asks for one and none was. Again is harmless.

    Raises what a request for it would be answered with.
    """
    wanted = upload.facts.get("import", "false").strip().lower() not in _NO
    if wanted and upload.operation_id is None:
        made = submit("uploads.import", _form(upload), upload.owner, idempotency_key=f"upload {upload.pk}")
        upload.operation_id = made.operation.pk
        ResumableUpload.objects.filter(pk=upload.pk).update(operation_id=upload.operation_id)


def _verify(upload: ResumableUpload) -> None:
    expected = upload.facts.get("sha256", "").strip().lower()
    if expected and expected != upload.sha256:
        delete(upload)
        raise sha256_mismatch(upload.sha256, expected)


def sha256_mismatch(found: str, expected: str) -> Problem:
    message = f"The file that came has the SHA-256 {found}, not {expected}: it was changed or damaged; send it again."
    return Problem(422, "sha256_mismatch", message, [{"pointer": "/sha256", "message": message}])


def _form(upload: ResumableUpload) -> QueryDict:
    """The fields of `uploads.import` that the metadata names, as a form would send them."""
    from .serializers import ImportInput

    form = QueryDict(mutable=True)
    form.update({name: text for name, text in upload.facts.items() if name in ImportInput().fields})
    form["upload"] = str(upload.pk)
    return form


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FinishedFile:
    """A file that came in pieces, as an import takes it: it stays until it expires, so another import may take it."""

    def __init__(self, upload: ResumableUpload) -> None:
        self.pk = upload.pk
        self.path, self.size, self.sha256 = upload.path, upload.offset, upload.sha256
        self.name = upload.facts.get("filename") or upload.facts.get("name") or ""
        self.is_too_large = self.size > max_bytes()

    def keep_as(self, target: Path) -> None:
        """Give the same bytes a second name. They are durable; so is the name."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self.path, target)
        except FileNotFoundError:  # given up, or expired, at this moment
            raise unknown_upload(self.pk) from None
        sync_folder(target.parent)


def finished_file(owner: Any, pk: UUID) -> FinishedFile:
    """Raises `Problem` at `/upload`: 422 for one that the owner does not have, 410, 409 where bytes are missing."""
    try:
        upload = find(owner.pk, pk)
    except Problem as problem:
        if problem.status == 404:
            raise unknown_upload(pk) from None
        message = problem.message
        raise Problem(problem.status, problem.code, message, [{"pointer": "/upload", "message": message}]) from None
    if not upload.is_whole:
        length = "an unknown number of" if upload.length is None else f"{upload.length:,}"
        message = f"The upload has {upload.offset:,} of {length} bytes: send the rest first."
        raise Problem(409, "upload_unfinished", message, [{"pointer": "/upload", "message": message}])
    seal(upload)  # which was not done yet where the process was killed at the last byte
    return FinishedFile(upload)


def unknown_upload(pk: Any) -> Problem:
    message = gone(pk).message
    return Problem(422, "unknown_upload", message, [{"pointer": "/upload", "message": message}])
