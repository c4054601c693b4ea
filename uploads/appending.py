"""Append to the file of a resumable upload: one request at a time, and durable before it counts.

Who appends holds the lock of the file. The kernel takes the lock back where the process dies, and nobody else can have
it before, however long that process is frozen; so bytes of two requests never mix. Beside that, `offset` moves only
from where the request found it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections import OrderedDict
from typing import Any

from django.utils import timezone

from lro import Problem

from . import resumable, tus
from .models import ResumableUpload
from .receiving import max_bytes, sync_folder
from .tus import Checksum

#: How much may be lost where the process is killed: what is not yet committed.
COMMIT_BYTES, COMMIT_SECONDS = 8 * 1024 * 1024, 1.0
#: A connection on which nothing came for so long is given up.
PATIENCE_SECONDS = 60.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


def take_turn(upload: ResumableUpload) -> Turn | None:
    """None where another request is at it."""
    upload.path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(upload.path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return Turn(upload, file)


def ask_for_turn(upload: ResumableUpload) -> None:
    """Whoever is at it lets go, if its connection is silent."""
    ResumableUpload.objects.filter(pk=upload.pk).update(wanted_at=timezone.now())


def is_taken(upload: ResumableUpload) -> bool:
    """Whether a request is appending at this moment."""
    try:
        with upload.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class Turn:
    """The right of one request to append. Close it; what was not committed by then does not count."""

    def __init__(self, upload: ResumableUpload, file: int) -> None:
        self.upload, self._file = upload, file
        self._pending = 0
        self._checksum: Checksum | None = None
        self._check: Any = None
        self._digest: Any = None
        self._heard_at = self._committed_at = time.monotonic()

    def begin(self, offset: int, *, length: int | None, size: int | None, checksum: Checksum | None) -> None:
        """Find the place, with the `length` of the file and the `size` of the request where they are told.

        Raises `Problem`: 400 for another length, 404, 409 for another offset, 410, 413 for more than the file has.
        """
        try:
            self.upload = upload = resumable.find(self.upload.owner_id, self.upload.pk)
        except Problem:
            self.upload.path.unlink(missing_ok=True)  # deleted before its file was opened, and so made
            raise
        if offset != upload.offset:
            raise resumable.offset_mismatch(upload, offset)
        resumable.settle_length(upload, length)
        self._refuse_overrun(size or 0)
        ResumableUpload.objects.filter(pk=upload.pk).update(wanted_at=None, length=upload.length)
        os.ftruncate(self._file, offset)
        if not offset:
            sync_folder(upload.path.parent)
        self._checksum, self._check = checksum, checksum and checksum.start()
        self._digest = _digests.take(upload)

    def append(self, piece: bytes) -> None:
        """Write the next bytes, and commit now and then. Raises `Problem`, also where this turn is over."""
        if not piece:
            return self._wait_on()
        self._heard_at = time.monotonic()
        self._refuse_overrun(self._pending + len(piece))
        self._write(piece)
        for running in (self._check, self._digest):
            if running is not None:
                running.update(piece)
        is_due = self._heard_at - self._committed_at >= COMMIT_SECONDS or self._pending >= COMMIT_BYTES
        if is_due and self._checksum is None:
            self.commit()
        return None

    def end(self, *, is_whole: bool) -> str | None:
        """Commit what came. The SHA-256 of the file, where it is whole and was seen from its beginning on.

        Raises `Problem`: 460 where the bytes are not those that the checksum is of; then none of them counts.
        """
        if self._checksum is not None and not is_whole:
            self._pending, self._digest = 0, None  # which has seen the bytes that do not count
        elif self._checksum is not None and self._check.digest() != self._checksum.digest:
            message = (
                f"The bytes that came do not have the {self._checksum.algorithm} of Upload-Checksum: send them again."
            )
            raise Problem(tus.CHECKSUM_MISMATCH, "checksum_mismatch", message)
        self.commit()
        if not is_whole:
            raise Problem(400, "interrupted", "The connection ended before the request did.")
        return self._digest.hexdigest() if self._digest is not None and self.upload.is_whole else None

    def commit(self) -> None:
        """Make durable what was written, and then count it. Raises `Problem` where the upload is gone."""
        if self._pending:
            os.fsync(self._file)
        upload, offset = self.upload, self.upload.offset + self._pending
        mine = ResumableUpload.objects.filter(pk=upload.pk, offset=upload.offset)
        expires_at = resumable.expiry()
        if not mine.update(offset=offset, expires_at=expires_at, wanted_at=None):
            is_there = ResumableUpload.objects.filter(pk=upload.pk).exists()
            raise locked() if is_there else resumable.gone(upload.pk)
        upload.offset, upload.expires_at = offset, expires_at
        self._pending, self._committed_at = 0, time.monotonic()

    def close(self) -> None:
        if self._digest is not None and not self._pending:
            _digests.put(self.upload, self._digest)
        os.close(self._file)

    def _write(self, piece: bytes) -> None:
        rest = memoryview(piece)
        try:
            while rest:
                written = os.pwrite(self._file, rest, self.upload.offset + self._pending)
                self._pending, rest = self._pending + written, rest[written:]
        except OSError as error:
            if error.errno not in _FULL:
                raise
            if self._checksum is None:
                self._digest = None  # which has not seen the part of the piece that fitted
                self.commit()
            raise Problem(507, "storage_full", "There is no room left for the file; try again later.") from error

    def _wait_on(self) -> None:
        """Nothing came for a moment: keep what there is, and let go where somebody else wants it."""
        if self._pending and self._checksum is None:
            self.commit()
        wanted = ResumableUpload.objects.filter(pk=self.upload.pk).values_list("wanted_at", flat=True).first()
        if wanted is not None:
            raise locked()
        if time.monotonic() - self._heard_at > PATIENCE_SECONDS:
            raise Problem(408, "request_timeout", f"Nothing came for {PATIENCE_SECONDS:.0f} seconds.")

    def _refuse_overrun(self, size: int) -> None:
        upload = self.upload
        limit = max_bytes() if upload.length is None else upload.length
        if upload.offset + size > limit:
            message = f"The request goes to byte {upload.offset + size:,} of a file of {limit:,}."
            raise Problem(413, "upload_too_large", message)


def locked() -> Problem:
    return Problem(423, "upload_locked", "Another request is sending bytes of this file; ask for its offset again.")


class _Digests:
    """The running SHA-256 of the files that this process receives: most are whole before it is forgotten."""

    def __init__(self, capacity: int = 1_000) -> None:
        self._capacity = capacity
        self._running: OrderedDict[Any, tuple[int, Any]] = OrderedDict()

    def take(self, upload: ResumableUpload) -> Any:
        """None where the first `offset` bytes were not seen here."""
        if upload.offset == 0:
            return tus.Checksum("sha256", b"").start()
        offset, running = self._running.pop(upload.pk, (0, None))
        return running if offset == upload.offset else None

    def put(self, upload: ResumableUpload, running: Any) -> None:
        self._running[upload.pk] = (upload.offset, running)
        while len(self._running) > self._capacity:
            self._running.popitem(last=False)


_digests = _Digests()
