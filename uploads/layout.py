"""Inspection of a file's head: all that is needed to parse any block of it, or a refusal."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from uploads.archives import open_unpacked
from uploads.dialects import NAMES, choose_delimiter, judge, width_below
from uploads.encodings import Encoding, as_units, detect, unit_width
from uploads.records import BLANK, MALFORMED, MAX_RECORD, TOO_LONG, Records, scan, split
from uploads.refusals import Refusal
from uploads.signatures import extension, refuse_other_formats

MAX_COLUMNS = 6_000
#: The first columns of a file that was downloaded to be repaired.
NOTES = ("_line", "_code", "_message")
HEAD_BYTES = 256 * 1024
_LONG_HEAD = 4 * MAX_RECORD
_WARNINGS_SHOWN = 20
_QUOTE = '"'
_NUMBERS = "The first row holds numbers only, and names the columns; if it is data, send the file with header=false."


@dataclass(frozen=True)
class Layout:
    """Everything needed to read any part of one file.

    `data_offset` and `data_line` are the byte offset and physical line (from 1) of the first record
    after byte order mark and header; of a workbook, the first column (from 0) and the row (from 1).
    `compression` is how the file is packed as a whole, "" for not at all.
    """

    format: str
    encoding: str
    delimiter: str
    quotechar: str
    columns: tuple[str, ...]
    data_offset: int
    data_line: int
    warnings: tuple[str, ...] = ()
    compression: str = ""
    sheet: str = ""

    @property
    def has_notes(self) -> bool:
        """Whether the file was downloaded to be repaired: its first columns are ours."""
        return self.columns[: len(NOTES)] == NOTES

    @property
    def data_columns(self) -> tuple[str, ...]:
        """The columns of the dataset."""
        return self.columns[len(NOTES) :] if self.has_notes else self.columns

    @property
    def is_delimited(self) -> bool:
        return self.format in ("csv", "tsv")

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which `from_json` makes the same layout."""
        return asdict(self) | {"columns": list(self.columns), "warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Layout":
        return cls(**{**stored, "columns": tuple(stored["columns"]), "warnings": tuple(stored["warnings"])})


@dataclass(frozen=True)
class _Head:
    """The beginning of a file: its text's code units after the mark, and whether they are all of it."""

    data: bytes
    encoding: Encoding
    whole: bool

    @property
    def text(self) -> bytes:
        return self.data[self.encoding.bom :]

    @property
    def units(self) -> bytes:
        return as_units(self.text, self.encoding.name)


def inspect(
    path: Path,
    filename: str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    has_header: bool = True,
    compression: str = "",
) -> Layout:
    """Find the layout of a delimited file from its head (256 KiB, or 4 MiB for a long header).

    `delimiter` and `encoding` override detection. Raises Refusal: `empty_file`, `unsupported_format`,
    `unknown_encoding`, `unsupported_encoding`, `wrong_encoding`, `dialect_ambiguous`, `bad_delimiter`,
    `header_invalid`, `header_too_long`, `too_many_columns`.
    """
    _check_delimiter(delimiter)
    head = _read_head(path, compression, filename, encoding, HEAD_BYTES)
    if not head.whole and not scan(head.units, ",", _QUOTE, at_end=False).consumed:
        head = _read_head(path, compression, filename, encoding, _LONG_HEAD)
    mark = delimiter or choose_delimiter(
        head.units, _QUOTE, at_end=head.whole, has_header=has_header, prefers_tab=extension(filename) in ("tsv", "tab")
    )
    records = scan(head.units, mark, _QUOTE, at_end=head.whole)
    first = _first_record(head, records)
    names = _header(head, records, first, mark) if has_header else [""] * _width(head, mark)
    columns, warnings = unique_names(names, warn=has_header)
    if has_header:
        warnings = (*_doubts(head, names, mark), *warnings)
    offset, line = _data_start(head, records, first, has_header)
    assumed = (head.encoding.warning,) if head.encoding.warning else ()
    kind = "tsv" if mark == "\t" else "csv"
    return Layout(kind, head.encoding.name, mark, _QUOTE, columns, offset, line, assumed + warnings, compression)


def _check_delimiter(delimiter: str | None) -> None:
    if delimiter is None:
        return
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter.isalnum() or delimiter in '"\r\n\0':
        message = "The delimiter must be one ASCII character that is no letter, digit or quote."
        raise Refusal("bad_delimiter", message, [{"pointer": "/delimiter", "message": message}])


def read_head(path: Path, compression: str, size: int = HEAD_BYTES) -> tuple[bytes, bool]:
    """The first `size` bytes in a file, and whether they are all. Raises Refusal `empty_file`, or of the archive."""
    with open_unpacked(path, compression) as file:
        data = file.read(size)
        whole = not file.read(1)
    if not data:
        raise Refusal("empty_file", "The file is empty.")
    return data, whole


def check_width(columns: int) -> None:
    """Raise Refusal `too_many_columns`."""
    if columns > MAX_COLUMNS:
        raise Refusal("too_many_columns", f"The file has {columns:,} columns; at most {MAX_COLUMNS:,} can be imported.")


def _read_head(path: Path, compression: str, filename: str, declared: str | None, size: int) -> _Head:
    data, whole = read_head(path, compression, size)
    refuse_other_formats(data, filename, is_utf16=_looks_utf16(data, whole))
    return _Head(data, detect(data, declared, whole=whole), whole)


def _looks_utf16(data: bytes, whole: bool) -> bool:
    try:
        return unit_width(detect(data, None, whole=whole).name) == 2
    except Refusal:
        return True


def _first_record(head: _Head, records: Records) -> int:
    """Index of the first record that is not blank. Raises Refusal."""
    for index, fields in enumerate(records.fields.tolist()):
        if fields == MALFORMED:
            line = int(records.lines[index]) + 1
            raise Refusal("header_invalid", f"Line {line}: a quote in the first row is not closed properly.")
        if fields == TOO_LONG:
            break
        if fields != BLANK:
            return index
    if not head.text or (records.consumed and not (records.fields == TOO_LONG).any()):
        raise Refusal("empty_file", "The file contains only blank lines.")
    raise Refusal("header_too_long", "The first line is longer than 1 MiB.")


def _header(head: _Head, records: Records, first: int, delimiter: str) -> list[str]:
    count = int(records.fields[first])
    check_width(count)
    width = unit_width(head.encoding.name)
    raw = head.text[int(records.starts[first]) * width : int(records.stops[first]) * width]
    try:
        text = raw.decode(head.encoding.name)
    except UnicodeDecodeError as error:
        raise Refusal(
            "header_invalid", f"The header is not {head.encoding.name}: byte 0x{raw[error.start]:02X} has no meaning."
        ) from None
    return split(text.rstrip("\r\n"), delimiter, _QUOTE)


def _width(head: _Head, delimiter: str) -> int:
    return max(1, judge(head.units, delimiter, _QUOTE, at_end=head.whole, has_header=False).columns)


def unique_names(raw: Sequence[str], *, warn: bool = True) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names stripped, filled and made unique, and a warning for each that had to be changed."""
    stripped = [" ".join(name.split()) for name in raw]
    taken, names, warnings = set(stripped), [], []
    seen: Counter[str] = Counter()
    for number, name in enumerate(stripped, start=1):
        if not name:
            final = _free(f"column_{number}", taken)
            warnings.append(f"Column {number} has no name; it is called {final}.")
        elif name in seen:
            final = _free(f"{name}_{seen[name] + 1}", taken)
            warnings.append(f"Column '{name}' appears again as column {number}; it is called {final}.")
        else:
            final = name
        seen[name] += 1
        taken.add(final)
        names.append(final)
    if len(warnings) > _WARNINGS_SHOWN:
        warnings[_WARNINGS_SHOWN:] = [f"{len(warnings) - _WARNINGS_SHOWN} more column names were changed likewise."]
    return tuple(names), tuple(warnings) if warn else ()


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _free(name: str, taken: set[str]) -> str:
    stem, _, ending = name.rpartition("_")
    number = int(ending)
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def _doubts(head: _Head, names: Sequence[str], delimiter: str) -> Iterator[str]:
    """Why the first row may not be the one that names the columns."""
    if all(map(_is_number, names)):
        yield _NUMBERS
    below = width_below(head.units, _QUOTE, delimiter, len(names), at_end=head.whole)
    if below is not None:
        fields = f"{len(names):,} field{'s' if len(names) > 1 else ''}"
        mark = NAMES[below.delimiter]
        yield (
            f"The first row has {fields}, but most rows have {below.columns:,} with a {mark} between them; "
            "delete what stands above the names of the columns, or complete them."
        )


def _data_start(head: _Head, records: Records, first: int, has_header: bool) -> tuple[int, int]:
    stop = int(records.stops[first]) if has_header else int(records.starts[first])
    line = int(records.next_lines[first] if has_header else records.lines[first])
    offset = head.encoding.bom + stop * unit_width(head.encoding.name)
    return min(offset, len(head.data)), line + 1
