"""Files that are packed as a whole by gzip or zstd, read as if they were not: forward, in bounded memory.

A place in such a file is an offset of the unpacked bytes. To go on from one, all before it is unpacked again and
dropped: that takes a third of the time that reading the rows took, or less, and no disk.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from django.conf import settings

from .refusals import Refusal

#: The first bytes of a gzip member, and of a zstd frame or a skippable one.
_MAGIC = {
    "gzip": (b"\x1f\x8b",),
    "zstd": (b"\x28\xb5\x2f\xfd", *(bytes([n, 0x2A, 0x4D, 0x18]) for n in range(0x50, 0x60))),
}
#: Beyond so much, a file may not unpack to more than so many times its size; gzip cannot reach 1,033.
_RATIO_FREE_BYTES = 256 * 2**20
_MAX_RATIO = 1000
_GZIP_CHUNK = 64 * 1024
#: A block of 4 bytes can unpack to 128 KiB, and this reader of zstd hands out all at once: so, at most 32 MiB.
_ZSTD_CHUNK = 1024
#: What `zstd -d` allows by itself: the memory that unpacking takes.
_ZSTD_WINDOW = 2**27
_SKIP = 2**20


def compression_of(head: bytes) -> str:
    """How a file that begins with `head` is packed: "gzip", "zstd" or ""."""
    return next((name for name, magic in _MAGIC.items() if head.startswith(magic)), "")


def max_unpacked_bytes() -> int:
    """The most that a file may unpack to."""
    return int(settings.UPLOADS.get("MAX_UNPACKED_BYTES", 32 * 2**30))


def open_unpacked(path: Path, compression: str) -> PlainFile | PackedFile:
    """The bytes in a file, to be read forward; `compression` is "" for a file that is as it is."""
    return PackedFile(path, compression) if compression else PlainFile(path)


class PlainFile:
    """A file as it is."""

    def __init__(self, path: Path) -> None:
        self.size = max(1, path.stat().st_size)
        self.file: BinaryIO = path.open("rb", buffering=0)

    def __enter__(self) -> PlainFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; b"" at the end."""
        return self.file.read(size)

    def skip_to(self, offset: int) -> None:
        self.file.seek(offset)

    @property
    def fraction(self) -> float:
        """How much of the file is read, from 0 to 1."""
        return min(1.0, self.file.tell() / self.size)


class PackedFile:
    """A gzip or zstd file, of one or several members, unpacked while it is read.

    Raises Refusal `archive_corrupt`, `archive_truncated`, `archive_too_large`; the message names the place.
    """

    def __init__(self, path: Path, compression: str) -> None:
        self.plain = PlainFile(path)
        self.size = self.plain.size
        self.compression = compression
        self.chunk = _GZIP_CHUNK if compression == "gzip" else _ZSTD_CHUNK
        self.packed = b""  # read, but not yet unpacked
        self.ready = b""  # unpacked, but not yet given out
        self.taken = self.unpacked = self.given = 0
        self.member: Any = None
        self.members = 0

    def __enter__(self) -> PackedFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self.plain.__exit__(*error)

    @property
    def fraction(self) -> float:
        return min(1.0, self.taken / self.size)

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        pieces, missing = [], size
        while missing > 0 and (self.ready or self._unpack()):
            piece = self.ready[:missing]
            self.ready = self.ready[len(piece) :]
            missing -= len(piece)
            pieces.append(piece)
        self.given += size - missing
        return b"".join(pieces)

    def skip_to(self, offset: int) -> None:
        """Unpack up to an offset of the unpacked bytes, which must not lie behind."""
        while self.given < offset and self.read(min(_SKIP, offset - self.given)):
            pass

    def _unpack(self) -> bool:
        """Have some bytes ready; False at the end of the file."""
        while not self.ready:
            if not self.packed:
                self.packed = self.plain.read(self.chunk)
                self.taken += len(self.packed)
            if not self.packed:
                return self._end()
            if self.member is None and not self._begin_member():
                continue
            self.ready = self._step()
        return True

    def _begin_member(self) -> bool:
        """Begin a member, unless what follows the last one is padding."""
        if self.members:
            self.packed = self.packed.lstrip(b"\0") if self.compression == "gzip" else self.packed
            if not self.packed:
                return False
            self.packed += self.plain.read(4)
            self.taken = self.plain.file.tell()
            if compression_of(self.packed) != self.compression:
                raise self._broken("archive_corrupt", "something else follows the archive")
        self.member = _member(self.compression)
        self.members += 1
        return True

    def _step(self) -> bytes:
        try:
            if self.compression == "gzip":
                data: bytes = self.member.decompress(self.packed, _SKIP)
                self.packed = self.member.unconsumed_tail
            else:
                data, self.packed = self.member.decompress(self.packed), b""
        except Exception as error:  # zlib.error or ZstdError, which is loaded where it is used
            raise self._broken("archive_corrupt", _words(error)) from None
        if self.member.eof:
            self.packed = self.member.unused_data
            self.member = None
        self.unpacked += len(data)
        self._check_size()
        return data

    def _end(self) -> bool:
        """The file ends: the last member may still hold some bytes, but must end with it."""
        if self.member is not None:
            self.ready = self._step()
        if self.member is not None and not self.ready:
            raise self._broken("archive_truncated", "the file ends here, but the archive does not")
        return bool(self.ready)

    def _check_size(self) -> None:
        unpacked, limit = self.unpacked, max_unpacked_bytes()
        if unpacked > limit:
            raise self._broken("archive_too_large", f"it unpacks to more than the {limit:,} bytes that are allowed")
        if unpacked > _RATIO_FREE_BYTES and unpacked > _MAX_RATIO * self.taken:
            raise self._broken("archive_too_large", f"it unpacks to over {_MAX_RATIO:,} times its size")

    def _broken(self, code: str, problem: str) -> Refusal:
        place = max(0, self.taken - len(self.packed))
        return Refusal(code, f"The {self.compression} archive cannot be read, near byte {place:,}: {problem}.")


def _member(compression: str) -> Any:
    if compression == "gzip":
        return zlib.decompressobj(wbits=31)
    from zstandard import ZstdDecompressor

    return ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()


def _words(error: Exception) -> str:
    """What a library says, without its numbers and names: "incorrect data check"."""
    return str(error).rpartition(": ")[2] or "its bytes have no meaning"
