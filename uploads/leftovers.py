"""What nobody needs any more: uploads that were not finished in time, and what a kill left half-made."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.utils import timezone

from lro import Operation, chore

from .models import ResumableUpload, Upload
from .resumable import lifetime

_BATCH = 200
_SWEEP_SECONDS = 600.0
#: A request that keeps a file has made its operation long before.
_KEPT_SECONDS = 24 * 60 * 60.0
_sweep_at = _swept_until = 0.0


@chore
def prune_uploads() -> int:
    """Uploads that were not finished, or not imported, in time; and now and then what a kill left."""
    global _sweep_at, _swept_until
    expired = ResumableUpload.objects.filter(expires_at__lt=timezone.now())
    done = sum(_prune(upload) for upload in expired[:_BATCH])
    if time.monotonic() >= _sweep_at:
        _sweep_at = time.monotonic() + _SWEEP_SECONDS
        before = time.time() - _KEPT_SECONDS
        done += sweep_incoming() + sweep_kept(_swept_until, before)
        _swept_until = before
    return done


def _prune(upload: ResumableUpload) -> bool:
    mine = ResumableUpload.objects.filter(pk=upload.pk, expires_at=upload.expires_at)  # no byte came meanwhile
    if not mine.delete()[0]:
        return False
    upload.path.unlink(missing_ok=True)
    return True


def sweep_incoming() -> int:
    """Delete what no row names among the incoming files, and has not changed for as long as an upload is kept."""
    done = 0
    for path in _old_files(Path(default_storage.path("incoming"))):
        if not ResumableUpload.objects.filter(pk__in=_ids([path.name])).exists():
            path.unlink(missing_ok=True)
            done += 1
    return done


def _old_files(folder: Path) -> Iterator[Path]:
    before = time.time() - lifetime().total_seconds()
    for path in folder.iterdir() if folder.exists() else ():
        with suppress(FileNotFoundError):  # another process was quicker
            if path.stat().st_mtime < before:
                yield path


def sweep_kept(since: float, before: float) -> int:
    """Of what was kept between these two moments (Unix time): files without a row, and rows without an operation."""
    done = 0
    for names in _batches(_kept_files(since, before)):
        known = Upload.objects.filter(pk__in=_ids(names)).values_list("pk", flat=True)
        for pk in set(_ids(names)) - set(known):
            Upload(pk=pk).path.unlink(missing_ok=True)
            done += 1
    moments = (datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(before, UTC))
    rows = Upload.objects.filter(created_at__gte=moments[0], created_at__lt=moments[1]).order_by("pk")
    for uploads in _batches(list(rows)):
        for upload in _unused(uploads):
            upload.path.unlink(missing_ok=True)
            upload.delete()
            done += 1
    return done


def _kept_files(since: float, before: float) -> list[str]:
    """By the time of their names, as a second name of an upload leaves its bytes as old as they are."""
    folder, names = Path(default_storage.path("uploads")), []
    for entry in os.scandir(folder) if folder.exists() else ():
        with suppress(FileNotFoundError):
            if since <= entry.stat().st_ctime < before:
                names.append(entry.name)
    return names


def _unused(uploads: Sequence[Upload]) -> Iterator[Upload]:
    """Whose request was killed before it made the operation: that has an id of about the same time."""
    margin = timedelta(seconds=_KEPT_SECONDS)
    first, last = (UUID(int=int(at.timestamp() * 1000) << 80) for at in _span(uploads, margin))
    near = Operation.objects.filter(pk__gte=first, pk__lt=last)
    used = set(near.filter(input__upload__in=[str(upload.pk) for upload in uploads]).values_list("input__upload"))
    return (upload for upload in uploads if (str(upload.pk),) not in used)


def _span(uploads: Sequence[Upload], margin: timedelta) -> tuple[datetime, datetime]:
    moments = [upload.created_at for upload in uploads]
    return min(moments) - margin, max(moments) + margin


def _batches(items: Sequence[Any]) -> Iterator[Any]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def _ids(names: Sequence[str]) -> list[UUID]:
    """The names that are ids."""
    found = []
    for name in names:
        with suppress(ValueError):
            found.append(UUID(name))
    return found
