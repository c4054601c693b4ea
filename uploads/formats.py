"""Which format a file has: its name, its first bytes and a look at its head must agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .archives import compression_of
from .refusals import Refusal
from .signatures import COMPOUND, looks_like


@dataclass(frozen=True)
class Format:
    """A format: how messages call it, the endings of its files, and whether these may be packed by gzip or zstd.

    `options` are the fields of a request that say something about it.
    """

    title: str
    endings: tuple[str, ...]
    is_packable: bool = False
    options: tuple[str, ...] = ()


_DELIMITED, _LINES, _WORKBOOK, _PARQUET = "delimited", "jsonl", "xlsx", "parquet"
FORMATS = {
    _DELIMITED: Format(
        "delimited text", ("csv", "tsv", "tab", "txt", "psv"), True, options=("delimiter", "encoding", "header")
    ),
    _LINES: Format("JSON Lines", ("jsonl", "ndjson", "json"), True),
    _WORKBOOK: Format("an Excel workbook", ("xlsx", "xlsm"), options=("sheet",)),
    _PARQUET: Format("a Parquet file", ("parquet", "pq")),
}
_PACKED = {"gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd"}
#: The endings that people are told of; a packed file has one of the last two after its own.
OFFERED = ("csv", "tsv", "jsonl", "xlsx", "parquet", "csv.gz", "csv.zst", "tsv.gz", "tsv.zst", "jsonl.gz", "jsonl.zst")
_LONG_LINE = 200_000
_BOM = b"\xef\xbb\xbf"
_OPTIONS = ("delimiter", "encoding", "header", "sheet")


@dataclass(frozen=True)
class Name:
    """What a file's name says of it: its format ("" if nothing) and how it is packed."""

    ending: str
    format: str
    compression: str

    @classmethod
    def of(cls, filename: str) -> Name:
        """Raises Refusal `unsupported_format` for an ending that no format has."""
        stem, ending = _split(filename)
        compression = _PACKED.get(ending, "")
        if compression:
            ending = _split(stem)[1]
        kind = next((name for name, one in FORMATS.items() if ending in one.endings), "")
        if ending and not kind:
            known = ", ".join(f".{one}" for one in OFFERED[:5])
            raise _unsupported(f"Files named .{ending[:20]} cannot be imported; send one of {known}.")
        return cls(ending, kind, compression)


def check_packing(name: Name, head: bytes) -> None:
    """Raise Refusal unless a file that begins with `head` is packed as its name says."""
    found = compression_of(head)
    if found and found != name.compression and (name.ending or name.compression):
        short = "gz" if found == "gzip" else "zst"
        raise _unsupported(
            f"The file looks like a {found} archive; name it so, as data.{name.ending or 'csv'}.{short}."
        )
    if name.compression and not found:
        raise _unsupported(f"The file is named as a {name.compression} archive, but looks like {_guess(head)}.")


def decide(name: Name, head: bytes, compression: str) -> str:
    """The format of a file that begins with `head` once unpacked. Raises Refusal `unsupported_format`."""
    seen = _seen(head)
    wanted = name.format or seen or _DELIMITED
    if compression and wanted in FORMATS and not FORMATS[wanted].is_packable:
        raise _unsupported(f"{_capital(FORMATS[wanted].title)} is packed already; send it as it is.")
    if wanted == _DELIMITED and (not seen or (seen == _LINES and looks_like(head) != "JSON")):
        return wanted  # what else its head may hold is looked at with its encoding
    if wanted != seen or (wanted == _LINES and _is_document(head)):
        raise _unsupported(_disagreement(name, wanted, head))
    return wanted


def refuse_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raise Refusal `wrong_option` for a field that says nothing about this format."""
    for option in _OPTIONS:
        if options.get(option) is not None and option not in FORMATS[kind].options:
            message = f"'{option}' has no meaning for {FORMATS[kind].title}; leave it out."
            raise Refusal("wrong_option", message, [{"pointer": f"/{option}", "message": message}])


def _seen(head: bytes) -> str:
    """The format that the bytes show, "" if they may be delimited text."""
    if head.startswith(b"PAR1"):
        return _PARQUET
    if head.startswith(b"PK\x03\x04"):
        return _WORKBOOK if looks_like(head) == FORMATS[_WORKBOOK].title else ""
    return _LINES if any(_is_object(line) for line in _lines(head)) else ""


def _lines(head: bytes) -> list[bytes]:
    """Lines that may be JSON objects: of a text in UTF-8 that begins like JSON."""
    lines = head.removeprefix(_BOM).split(b"\n")
    if len(lines) == 1 and len(head) > _LONG_LINE and lines[0].startswith(b"{"):
        return [b"{}"]  # the head of an object that is longer than the head
    return lines if any(line.lstrip()[:1] == b"{" for line in lines[:20]) else []


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False


def _is_document(head: bytes) -> bool:
    """Whether JSON goes on over the end of its first line, as an array with an object a line does."""
    lines = [line.strip() for line in head.removeprefix(_BOM).split(b"\n")]
    first, second = [*filter(None, lines), b"", b""][:2]
    if first in (b"[", b"{"):
        return True
    return first[:1] in (b"[", b"{") and first[-1:] in (b"[", b"{", b",") and not _is_object(second)


def _disagreement(name: Name, wanted: str, head: bytes) -> str:
    if wanted == _WORKBOOK and head.startswith(COMPOUND):
        return (
            f"The file is named .{name.ending}, but looks like an old Excel document, or one with a password; "
            "save it as .xlsx without a password."
        )
    if wanted == _LINES and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        return "The file looks like one JSON document; write one object a line (JSON Lines), as `jq -c '.[]'` does."
    return f"The file is named .{name.ending}, but looks like {_guess(head)}."


def _guess(head: bytes) -> str:
    seen = _seen(head)
    return FORMATS[seen].title if seen else looks_like(head) or FORMATS[_DELIMITED].title


def _split(filename: str) -> tuple[str, str]:
    stem, dot, ending = filename.rpartition(".")
    return (stem, ending.lower()) if dot else (filename, "")


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]


def _unsupported(message: str) -> Refusal:
    return Refusal("unsupported_format", message)
