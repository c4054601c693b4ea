"""What a file is when it is not a table of text: by its first bytes and its name."""

import json
import re

from uploads.refusals import Refusal

#: Of what Microsoft Office wrote before 2007, and still writes around what has a password.
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAGIC = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1\x00\x00", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (COMPOUND, "an old Excel or Word document"),
)
_EXTENSIONS = {"csv", "tsv", "tab", "txt", "psv"}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def extension(filename: str) -> str:
    """The lower-case ending of a file's name without the dot; "" if it has none."""
    return filename.rpartition(".")[2].lower() if "." in filename else ""


def refuse_other_formats(head: bytes, filename: str, *, is_utf16: bool) -> None:
    """Raise Refusal `unsupported_format` unless `head` may be delimited text with a name to match."""
    kind = _by_magic(head) or ("" if is_utf16 else _by_bytes(head)) or _by_markup(head)
    if kind:
        raise Refusal("unsupported_format", f"The file looks like {kind}, not a table.")
    ending = extension(filename)
    if ending and ending not in _EXTENSIONS:
        raise Refusal("unsupported_format", f"Files named .{ending[:20]} cannot be imported; send a .csv or .tsv file.")


def looks_like(head: bytes) -> str:
    """What a file that begins with `head` looks like, if it is no delimited text; else ""."""
    return _by_magic(head) or _by_bytes(head) or _by_markup(head)


def _by_magic(head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        is_workbook = b"xl/" in head or b"[Content_Types].xml" in head
        return "an Excel workbook" if is_workbook else "a ZIP archive"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def _by_bytes(head: bytes) -> str:
    """Binary: control characters in the first line, or among more than one byte in a hundred.

    A stray NUL in a row is that row's reject, not the file's refusal.
    """
    first_line = head.lstrip(b"\r\n").split(b"\n", 1)[0]
    strange = len(_CONTROL.findall(head))
    is_binary = b"\x00" in first_line or (strange > 16 and strange * 100 > len(head))
    return "binary data" if is_binary else ""


def _by_markup(head: bytes) -> str:
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if start.startswith(b"<?xml"):
        return "an XML document"
    return "JSON" if start.startswith((b"{", b"[")) and _is_json(head) else ""


def _is_json(head: bytes) -> bool:
    text = head.decode("utf-8-sig", "replace").strip()
    for candidate in (text.splitlines()[0], text):
        try:
            return isinstance(json.loads(candidate), dict | list)
        except ValueError:
            continue
    return text.startswith(('{"', "[{")) or bool(re.match(r'[\[{]\s+["{]', text))
