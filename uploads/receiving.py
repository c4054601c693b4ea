"""Receive a file: straight to disk, counted and hashed while it comes, never more than the limit."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

#: What a multipart body may hold besides the file.
_ENVELOPE_BYTES = 64 * 1024
Scope = dict[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class ReceivedFile(UploadedFile):  # type: ignore[type-arg]
    """A received file that still belongs to the request: deleted with it unless it is kept."""

    def __init__(self, path: Path, name: str, size: int, sha256: str, is_too_large: bool) -> None:
        super().__init__(file=path.open("rb"), name=name, size=size)
        self.path, self.sha256, self.is_too_large = path, sha256, is_too_large

    def keep_as(self, target: Path) -> None:
        """Make the file durable under its final name."""
        target.parent.mkdir(parents=True, exist_ok=True)
        os.fsync(self.fileno())
        os.replace(self.path, target)
        sync_folder(target.parent)

    def close(self) -> None:
        super().close()
        self.path.unlink(missing_ok=True)


class ReceivingUploadHandler(FileUploadHandler):
    """Writes each chunk to a file of its own and hashes it on the way; SHA-256 costs less than the disk."""

    chunk_size = 1024 * 1024

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        folder = Path(default_storage.path("incoming"))
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / uuid.uuid4().hex
        self.stream = self.path.open("wb")
        self.hash = hashlib.sha256()
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received += len(raw_data)
        if self.received > max_bytes():
            return  # counted on, to say how large it is; not one byte more on the disk
        self.hash.update(raw_data)
        self.stream.write(raw_data)

    def file_complete(self, file_size: int) -> ReceivedFile:
        self.stream.close()
        name = self.file_name or "upload"
        return ReceivedFile(self.path, name, file_size, self.hash.hexdigest(), self.received > max_bytes())

    def upload_interrupted(self) -> None:
        if hasattr(self, "stream"):
            self.stream.close()
            self.path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def max_bytes() -> int:
    return int(settings.UPLOADS["MAX_BYTES"])


class _TooLarge(Exception):
    """The body has more bytes than any upload may have."""


def limit_body(app: App) -> App:
    """ASGI: count the body's bytes as they arrive, whatever Content-Length says, and answer 413 beyond the limit.

    Django spools a whole body to disk before a view runs, so the limit must stand before Django.
    """

    async def limited(scope: Scope, receive: Any, send: Any) -> None:
        limit = max_bytes() + _ENVELOPE_BYTES
        declared = next((value for key, value in scope.get("headers", ()) if key == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > limit:
            await _refuse(scope, send)
            return
        received = 0
        started = False

        async def counted() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _TooLarge
            return message

        async def watched(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, counted, watched)
        except _TooLarge:
            if not started:
                await _refuse(scope, send)

    return limited


async def _refuse(scope: Scope, send: Any) -> None:
    problem = {
        "type": "urn:lro:problem:upload_too_large",
        "title": "Content Too Large",
        "status": 413,
        "instance": scope["path"],
        "code": "upload_too_large",
        "detail": f"The file is larger than the {max_bytes():,} bytes that an upload may have.",
        "errors": [],
    }
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(problem)})
