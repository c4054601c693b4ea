"""JSON Lines: cutting a file into lines, and each line into an object or a fault; and the look at its head."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson

from .archives import PackedFile, PlainFile
from .batches import RAW_BYTES, RowReject
from .layout import HEAD_BYTES, Layout, check_width, read_head
from .refusals import Refusal

MAX_LINE = 2**20
MAX_KEY = 255
_BOM = b"\xef\xbb\xbf"
_KINDS = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}


@dataclass
class Lines:
    """Whole lines of a file: the byte offset and number (from 1) of the first, and where the next would begin.

    A line of more than `MAX_LINE` bytes is alone, and only its beginning is kept: `is_cut`.
    """

    offset: int
    line: int
    next_offset: int
    data: bytes
    is_cut: bool = False

    @property
    def next_line(self) -> int:
        return self.line + (1 if self.is_cut else self.data.count(b"\n"))


@dataclass
class Objects:
    """The objects of some lines, each with the index of its line, and a reject for each line that is none."""

    lines: Lines
    rows: list[dict[str, Any]] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    rejects: list[RowReject] = field(default_factory=list)

    @cached_property
    def texts(self) -> list[bytes]:
        return self.lines.data.split(b"\n")

    @cached_property
    def _lengths(self) -> list[int]:
        """The bytes of all lines before each, without their line ends."""
        return list(accumulate(map(len, self.texts), initial=0))

    def place(self, index: int) -> tuple[int, int, bytes]:
        """Number, byte offset and text of the line of this index."""
        return self.lines.line + index, self.lines.offset + self._lengths[index] + index, self.texts[index]


def inspect(path: Path, compression: str) -> Layout:
    """The layout of a JSON Lines file: the columns are the keys in its head (256 KiB), more may follow.

    Raises Refusal `wrong_encoding`, `empty_file`, `header_invalid`, `header_too_long`, `too_many_columns`.
    """
    head, whole = read_head(path, compression, HEAD_BYTES)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refusal("wrong_encoding", "The file is UTF-16, but JSON Lines are UTF-8; save it so.")
    mark = len(_BOM) if head.startswith(_BOM) else 0
    text = head[mark:] if whole else head[mark : head.rfind(b"\n") + 1]
    if whole and not text.strip():
        raise Refusal("empty_file", "The file contains only blank lines.")
    rows = parse(Lines(mark, 1, len(head), text)).rows
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        raise Refusal("header_invalid", "No object at the beginning of the file has a key; there are no columns.")
    check_keys(columns)
    return Layout("jsonl", "utf-8", "", "", columns, mark, 1, tuple(_warnings(text, columns)), compression)


def check_keys(columns: Collection[str]) -> None:
    """Raise Refusal `too_many_columns` or `header_too_long` unless a dataset may have these columns."""
    check_width(len(columns))
    longest = max(map(len, columns), default=0)
    if longest > MAX_KEY:
        raise Refusal("header_too_long", f"A key has {longest:,} characters; at most {MAX_KEY} are allowed.")


def cut(file: PlainFile | PackedFile, offset: int, line: int, *, block_bytes: int) -> Iterator[Lines]:
    """The lines from `offset` on, the beginning of line `line`, about `block_bytes` at a time."""
    file.skip_to(offset)
    held = b""
    while piece := file.read(block_bytes):
        held += piece
        end = held.rfind(b"\n") + 1
        if end:
            lines = Lines(offset, line, offset + end, held[:end])
            held = held[end:]
        elif len(held) > MAX_LINE:
            kept = held[: MAX_LINE + 1]
            rest, size = _rest_of_line(file, block_bytes)
            lines = Lines(offset, line, offset + len(held) + size, kept, is_cut=True)
            held = rest
        else:
            continue
        yield lines
        offset, line = lines.next_offset, lines.next_line
    if held:
        yield Lines(offset, line, offset + len(held), held)


def _rest_of_line(file: PlainFile | PackedFile, block_bytes: int) -> tuple[bytes, int]:
    """Read on to the end of a line: what was read behind it, and how many bytes the line still had."""
    size = 0
    while piece := file.read(block_bytes):
        end = piece.find(b"\n") + 1
        if end:
            return piece[end:], size + end
        size += len(piece)
    return b"", size


def parse(lines: Lines) -> Objects:
    """Each line that is not blank as an object or a reject."""
    found = Objects(lines)
    if lines.is_cut:
        found.rejects.append(_too_long(lines.data, lines.line, lines.offset))
        return found
    texts = found.texts
    if b"\\u0000" in lines.data or max(map(len, texts)) > MAX_LINE:
        for index in range(len(texts)):
            _take(found, index)
    else:
        _take_runs(found)
    return found


def _take_runs(found: Objects) -> None:
    """Take the lines up to one that is no JSON at once, that line by itself, and so on."""
    rest, first = iter(found.texts), 0
    while first < len(found.texts):
        run: list[Any] = []
        with suppress(ValueError):
            run.extend(map(orjson.loads, rest))  # keeps what came before an error
        if set(map(type, run)) <= {dict}:
            found.rows += run
            found.indices += range(first, first + len(run))
        else:
            for index in range(first, first + len(run)):
                _take(found, index)
        first += len(run)
        if first < len(found.texts):
            _take(found, first)
        first += 1


def _take(found: Objects, index: int) -> None:
    text = found.texts[index]
    if not text.strip():
        return
    number, offset, _ = found.place(index)
    if len(text) > MAX_LINE:
        found.rejects.append(_too_long(text, number, offset))
        return
    try:
        row = orjson.loads(text)
    except ValueError as error:
        found.rejects.append(row_reject(number, offset, text, *_syntax_fault(text, error)))
        return
    code, problem, column = _content_fault(row, text)
    if code:
        found.rejects.append(row_reject(number, offset, text, code, problem, column))
    else:
        found.rows.append(row)
        found.indices.append(index)


def _syntax_fault(text: bytes, error: ValueError) -> tuple[str, str]:
    """The code and what is wrong with a line that is no JSON."""
    try:
        text.decode()
    except UnicodeDecodeError as fault:
        return "invalid_encoding", f"byte 0x{text[fault.start]:02X} is not valid in utf-8."
    position, words = getattr(error, "pos", 0), getattr(error, "msg", str(error))
    return "json_syntax", f"no valid JSON at character {position + 1}: {words}."


def _content_fault(row: Any, text: bytes) -> tuple[str, str, str]:
    """The code, what is wrong with a JSON value that no row can hold, and the column to blame; "" for nothing."""
    if not isinstance(row, dict):
        return "not_an_object", f"expected an object, found {_KINDS[type(row)]}.", ""
    if b"\\u0000" in text:
        for key, value in row.items():
            if "\0" in key or _has_nul(value):
                return "nul_byte", "the value contains a NUL.", key.replace("\0", "")
    return "", "", ""


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(inner) for key, inner in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _too_long(line: bytes, number: int, offset: int) -> RowReject:
    return row_reject(number, offset, line, "field_too_long", "the line is longer than 1 MiB.")


def row_reject(line: int, offset: int, text: bytes, code: str, problem: str, column: str = "") -> RowReject:
    """A reject of a line that is `text`."""
    raw = text[:RAW_BYTES].decode("utf-8", "replace").rstrip("\r\n").replace("\0", "\ufffd")
    place = f"Line {line}" + (f", column {column}" if column else "")
    return RowReject(line, offset, column, code, f"{place}: {problem}", raw)


def _warnings(text: bytes, columns: tuple[str, ...]) -> Iterator[str]:
    """What is odd about the keys in the head."""
    if "" in columns:
        yield "A key is empty; so is the name of its column."
    doubled = next(_doubled_keys(text), None)
    if doubled:
        yield f"Line {doubled[0]}: the key '{doubled[1]}' appears twice in one object; the last value counts."


def _doubled_keys(text: bytes) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text[:HEAD_BYTES].split(b"\n"), start=1):
        doubled: list[str] = []

        def note(pairs: list[tuple[str, Any]], doubled: list[str] = doubled) -> dict[str, Any]:
            keys = [key for key, _ in pairs]
            doubled += [key for index, key in enumerate(keys) if key in keys[:index]]
            return dict(pairs)

        try:
            json.loads(line, object_pairs_hook=note)
        except ValueError:
            continue
        yield from ((number, key) for key in doubled)
