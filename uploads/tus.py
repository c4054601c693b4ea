"""The words of tus 1.0 (https://tus.io/protocols/resumable-upload): headers into values, or a refusal.

Each refusal is a `Problem` that says which header is wrong, and what was expected.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lro import Problem

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "creation-defer-length", "termination", "checksum", "expiration")
MEDIA_TYPE = "application/offset+octet-stream"
CHECKSUMS = ("sha256", "sha1", "sha512", "md5")
#: A name of the checksum extension's own, as HTTP has none for it.
CHECKSUM_MISMATCH = 460
#: The methods that `X-HTTP-Method-Override` may name.
OVERRIDES = ("PATCH", "DELETE", "HEAD")
_MOST_METADATA = 8 * 1024
_NUMBER = re.compile(r"[0-9]{1,18}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_KEY = re.compile(r"[!-+\--~]{1,100}")  # visible ASCII but the comma

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Checksum:
    """What the sender says that the bytes of one request amount to."""

    algorithm: str
    digest: bytes

    def start(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)


def announcement(max_bytes: int) -> dict[str, str]:
    """What the server can do, as `OPTIONS` tells it."""
    return {
        "Tus-Version": VERSION,
        "Tus-Max-Size": str(max_bytes),
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }


def check_version(headers: Headers) -> None:
    """Raises 412 where the client speaks another version, or does not say which."""
    if headers.get("Tus-Resumable") != VERSION:
        raise _bad("Tus-Resumable", f"must be {VERSION}, the version of tus that is spoken here.", 412, "tus_version")


def check_media_type(headers: Headers) -> None:
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media != MEDIA_TYPE:
        raise _bad("Content-Type", f"must be {MEDIA_TYPE}, not '{media[:100]}'.", 415, "unsupported_media_type")


def offset_of(headers: Headers) -> int:
    offset = _number(headers, "Upload-Offset")
    if offset is None:
        raise _bad("Upload-Offset", "is missing: it says where in the file the bytes begin.")
    return offset


def length_of(headers: Headers, max_bytes: int) -> int | None:
    """The length of the file; None where it is not known yet."""
    deferred = headers.get("Upload-Defer-Length")
    if deferred not in (None, "1"):
        raise _bad("Upload-Defer-Length", f"can only be 1, not '{deferred[:100]}'.")
    length = known_length(headers, max_bytes)
    if (length is None) is (deferred is None):
        missing = "is missing; where it is not known yet, send Upload-Defer-Length: 1."
        raise _bad("Upload-Length", missing if length is None else "cannot be both given and deferred.")
    return length


def known_length(headers: Headers, max_bytes: int) -> int | None:
    """`Upload-Length`, where it is there. Raises 413 above the limit."""
    length = _number(headers, "Upload-Length")
    if length is not None and length > max_bytes:
        raise too_large(length, max_bytes)
    return length


def too_large(size: int, max_bytes: int) -> Problem:
    return Problem(413, "upload_too_large", f"The file has {size:,} bytes, at most {max_bytes:,} are allowed.")


def content_length_of(headers: Headers) -> int | None:
    """How many bytes the request carries; None where it does not say."""
    return _number(headers, "Content-Length")


def checksum_of(headers: Headers) -> Checksum | None:
    text = headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, encoded = text.strip().partition(" ")
    if algorithm.lower() not in CHECKSUMS:
        raise _bad("Upload-Checksum", f"must begin with one of {', '.join(CHECKSUMS)}, not '{algorithm[:40]}'.")
    checksum = Checksum(algorithm.lower(), _decoded(encoded.strip(), "Upload-Checksum"))
    if len(checksum.digest) != (size := checksum.start().digest_size):
        raise _bad("Upload-Checksum", f"must hold the {size} bytes of {algorithm} in base64.")
    return checksum


def metadata_of(headers: Headers) -> str:
    """`Upload-Metadata` as it came, once it is known to be well-formed."""
    text = headers.get("Upload-Metadata", "").strip()
    if len(text) > _MOST_METADATA:
        raise _bad("Upload-Metadata", f"may have {_MOST_METADATA:,} characters, not {len(text):,}.")
    facts = parse_metadata(text)
    if "sha256" in facts and not _SHA256.fullmatch(facts["sha256"].strip()):
        raise _bad("Upload-Metadata", f"has a sha256 that is not 64 hexadecimal digits: '{facts['sha256'][:100]}'.")
    return text


def parse_metadata(text: str) -> dict[str, str]:
    """`key base64,key base64`, as text; a key may stand alone."""
    found: dict[str, str] = {}
    for pair in text.split(",") if text else []:
        key, _, encoded = pair.strip().partition(" ")
        if not _KEY.fullmatch(key):
            raise _bad("Upload-Metadata", f"must be pairs of an ASCII key and base64, with commas; not '{pair[:100]}'.")
        if key in found:
            raise _bad("Upload-Metadata", f"has the key '{key}' twice.")
        found[key] = _text(encoded.strip(), key)
    return found


def _text(encoded: str, key: str) -> str:
    try:
        text = _decoded(encoded, "Upload-Metadata").decode()
    except UnicodeDecodeError:
        raise _bad("Upload-Metadata", f"has a value of '{key}' that is not UTF-8.") from None
    if "\0" in text:
        raise _bad("Upload-Metadata", f"has a value of '{key}' with U+0000, which cannot be stored.")
    return text


def _decoded(encoded: str, header: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _bad(header, f"has a value that is not base64: '{encoded[:100]}'.") from None


def _number(headers: Headers, name: str) -> int | None:
    text = headers.get(name)
    if text is None or text == "":
        return None
    if not _NUMBER.fullmatch(text.strip()):
        raise _bad(name, f"must be a whole number of bytes, not '{text[:40]}'.")
    return int(text)


def _bad(header: str, message: str, status: int = 400, code: str = "invalid_header") -> Problem:
    return Problem(status, code, f"{header} {message}", [{"header": header, "message": message}])
