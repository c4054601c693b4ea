"""What goes out and comes in: files, which a second try sends anew, and bodies, which may not grow without end."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from .errors import InvalidAnswer

Upload = str | Path | IO[bytes] | tuple[str, IO[bytes]] | tuple[str, IO[bytes], str]
Part = tuple[str, IO[bytes]] | tuple[str, IO[bytes], str]

#: A page has at most 500 events of 64 KB each.
_LARGEST_BODY = 64 * 1024 * 1024


@contextmanager
def opened(uploads: Mapping[str, Upload]) -> Iterator[dict[str, Part]]:
    """Each file by its field, with a name, at its beginning; those that came as a path are closed afterwards."""
    with ExitStack() as stack:
        parts: dict[str, Part] = {}
        for field, upload in uploads.items():
            if isinstance(upload, str | Path):
                parts[field] = (Path(upload).name, stack.enter_context(Path(upload).open("rb")))
                continue
            part: Part = upload if isinstance(upload, tuple) else (_name(upload), upload)
            part[1].seek(0)
            parts[field] = part
        yield parts


def _name(file: IO[bytes]) -> str:
    name = getattr(file, "name", "")
    return Path(name).name if isinstance(name, str) and name else "upload"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a download goes, and what it must be: `size` in bytes."""

    path: Path
    size: int
    sha256: str


class Sink(Protocol):
    """Takes the body of an answer, a chunk at a time."""

    def write(self, chunk: bytes) -> None: ...

    def finish(self) -> bytes: ...


class MemorySink:
    def __init__(self) -> None:
        self._body = bytearray()

    def write(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > _LARGEST_BODY:
            raise InvalidAnswer(f"The server's answer has more than {_LARGEST_BODY:,} bytes.")

    def finish(self) -> bytes:
        return bytes(self._body)


class FileSink:
    """Writes beside the destination, and takes its name only when all of it is there and right."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._path = destination.path.with_name(f".{uuid.uuid4().hex}.part")
        self._file = self._path.open("xb")
        self._hash, self._size = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._destination.size:
            raise InvalidAnswer(f"The file has more than the {self._destination.size:,} bytes that were announced.")
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self) -> bytes:
        self._file.close()
        if (self._size, self._hash.hexdigest()) != (self._destination.size, self._destination.sha256):
            raise InvalidAnswer("The file is not the one that was announced: its size or its digest differs.")
        os.replace(self._path, self._destination.path)
        return b""

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


@contextmanager
def receiving(destination: Destination | None, status: int) -> Iterator[Sink]:
    """A file for a good answer that has a destination, else memory; of an interrupted download nothing stays."""
    if destination is None or status != 200:
        yield MemorySink()
        return
    sink = FileSink(destination)
    try:
        yield sink
    finally:
        sink.discard()
