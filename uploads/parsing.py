"""One block of delimited text to a table of its good rows and a reject for each bad one.

The scanner counts the fields of every record, so pyarrow is fed good records only and its rows are
those records in order; line numbers and offsets come from the scanner.

Decided: blank lines are skipped, in files of one column too (write `""` for an empty value there);
an empty value, quoted or not, is null; a row with several faults is rejected for the first of
field_too_long, unterminated_quote, nul_byte, invalid_encoding, ragged, not_repaired, and then of what its schema
finds (type_error, constraint_error) in the first column.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from uploads.batches import RAW_BYTES, RowReject
from uploads.blocks import Block
from uploads.conformance import Misfit, enforce, unrepaired
from uploads.encodings import as_units, unit_width
from uploads.layout import NOTES, Layout
from uploads.records import BLANK, MALFORMED, TOO_LONG, Ints, walk
from uploads.table_schema import Schema

_OK, _SHORT, _LONG, _ENCODING, _NUL, _QUOTE, _LENGTH = range(7)
_CODES = ("", "ragged_short", "ragged_long", "invalid_encoding", "nul_byte", "unterminated_quote", "field_too_long")
_GROUP = 512
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ParsedBlock:
    """The good rows, the rejects by ascending line, and the number of rows, good and bad."""

    table: pa.Table
    rejects: list[RowReject]
    rows_read: int


def parse(block: Block, layout: Layout, schema: Schema | None = None) -> ParsedBlock:
    """Parse one block; columns are strings, or what `schema` says of them."""
    text = _Text(block, layout)
    faults = text.faults()
    good = np.flatnonzero(faults == _OK)
    rejects = [text.reject(int(index), int(faults[index])) for index in np.flatnonzero(faults)]
    table = _read(text.without(np.flatnonzero(faults)), layout)
    if table.num_rows != len(good):
        raise RuntimeError(f"{table.num_rows} rows were read where {len(good)} are, from offset {block.start.offset}.")
    for keep in _tests(layout, schema):
        table, misfits = keep(table)
        rejects += [text.misfit(int(good[misfit.row]), misfit) for misfit in misfits]
        good = np.delete(good, [misfit.row for misfit in misfits])
    rejects.sort(key=lambda reject: reject.line)
    return ParsedBlock(table, rejects, len(faults))


def _tests(layout: Layout, schema: Schema | None) -> Iterator[Callable[[pa.Table], tuple[pa.Table, list[Misfit]]]]:
    """What a row must pass though its form is good."""
    if layout.has_notes:
        yield lambda table: unrepaired(table.drop_columns(list(NOTES)))
    if schema:
        yield lambda table: enforce(table, schema)


class _Text:
    """A block's records and what is wrong with each; blank lines are left out."""

    def __init__(self, block: Block, layout: Layout) -> None:
        self.block = block
        self.layout = layout
        self.encoding = layout.encoding
        self.width = unit_width(layout.encoding)
        self.units = as_units(block.data, layout.encoding)
        self._decode = codecs.getdecoder(layout.encoding)
        self.grammar = (layout.delimiter, layout.quotechar)
        records = block.records(layout)
        rows = records.fields != BLANK
        self.starts, self.stops, self.lines, self.fields = (
            array[rows] for array in (records.starts, records.stops, records.lines, records.fields)
        )

    def faults(self) -> npt.NDArray[np.int8]:
        """The fault of each record, _OK for none, shape (records,)."""
        faults = np.zeros(len(self.starts), np.int8)
        if self.block.is_cut:
            return faults + np.int8(_LENGTH)
        expected = len(self.layout.columns)
        faults[self.fields < expected] = _SHORT
        faults[self.fields > expected] = _LONG
        for index in self._undecodable():
            faults[index] = _ENCODING
        if b"\0" in self.units:
            faults[self._record_of(np.flatnonzero(np.frombuffer(self.units, np.uint8) == 0))] = _NUL
        faults[self.fields == MALFORMED] = _QUOTE
        faults[self.fields == TOO_LONG] = _LENGTH
        return faults

    def _record_of(self, units: Ints) -> Ints:
        return np.searchsorted(self.starts, units, side="right") - 1

    def _undecodable(self) -> Iterator[int]:
        """Indices of the records whose bytes are not in the file's encoding."""
        # In groups: a decoder allocates for all it is given before it meets the first error.
        for first in range(0, len(self.starts), _GROUP):
            last = min(first + _GROUP, len(self.starts)) - 1
            position, stop = int(self.starts[first]) * self.width, int(self.stops[last]) * self.width
            while (fault := self._first_undecodable(position, stop)) is not None:
                index = int(self._record_of(np.array([fault // self.width]))[0])
                yield index
                position = int(self.stops[index]) * self.width

    def _first_undecodable(self, position: int, stop: int) -> int | None:
        try:
            self._decode(memoryview(self.block.data)[position:stop], "strict")
        except UnicodeDecodeError as error:
            return position + error.start
        return None

    def _bytes(self, index: int) -> bytes:
        return self.block.data[int(self.starts[index]) * self.width : int(self.stops[index]) * self.width]

    def without(self, bad: Ints) -> bytes:
        """The block's text without the records `bad`, in UTF-8."""
        data, width, position = memoryview(self.block.data), self.width, 0
        if not len(bad) and self.encoding == "utf-8":
            return self.block.data
        pieces = []
        for start, stop in zip((self.starts[bad] * width).tolist(), (self.stops[bad] * width).tolist(), strict=True):
            pieces.append(data[position:start])
            position = stop
        pieces.append(data[position:])
        kept = b"".join(pieces)
        return kept if self.encoding == "utf-8" else kept.decode(self.encoding).encode()

    def reject(self, index: int, fault: int) -> RowReject:
        column, problem = self._problem(index, fault)
        place = f"Line {self._line(index)}" + (f", column {column}" if column else "")
        return self._reject(index, column, _CODES[fault], f"{place}: {problem}")

    def misfit(self, index: int, misfit: Misfit) -> RowReject:
        message = f"Line {self._line(index)}, column {misfit.column}: {misfit.problem}"
        return self._reject(index, misfit.column, misfit.code, message)

    def _reject(self, index: int, column: str, code: str, message: str) -> RowReject:
        offset = self.block.start.offset + int(self.starts[index]) * self.width
        return RowReject(self._line(index), offset, column, code, message, self._raw(index))

    def _line(self, index: int) -> int:
        return self.block.start.line + int(self.lines[index])

    def _raw(self, index: int) -> str:
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        record = self._bytes(index)
        text = decoder.decode(record[:RAW_BYTES], len(record) <= RAW_BYTES)
        return text.rstrip("\r\n").replace("\0", "\ufffd")

    def _problem(self, index: int, fault: int) -> tuple[str, str]:
        """The column to blame ("" if none) and what is wrong."""
        if fault in (_SHORT, _LONG):
            expected, found = len(self.layout.columns), int(self.fields[index])
            return "", f"expected {expected} field{'s'[: expected != 1]}, found {found}."
        if fault == _LENGTH:
            return "", "the line is longer than 1 MiB."
        if fault == _QUOTE:
            column = self._column_at(index, int(self.stops[index]))
            return column, "a quote is opened here but not closed properly."
        if fault == _NUL:
            return self._column_at(
                index, self.units.index(0, int(self.starts[index]))
            ), "the value contains a NUL byte."
        return self._encoding_problem(index)

    def _encoding_problem(self, index: int) -> tuple[str, str]:
        record = self._bytes(index)
        try:
            record.decode(self.encoding)
        except UnicodeDecodeError as error:
            column = self._column_at(index, int(self.starts[index]) + error.start // self.width)
            return column, f"byte 0x{record[error.start]:02X} is not valid in {self.encoding}."
        return "", f"the row is not valid in {self.encoding}."

    def _column_at(self, index: int, unit: int) -> str:
        """The column in which a unit of a record lies, "" beyond the last."""
        beginning = self.units[int(self.starts[index]) : unit]
        record = walk(beginning, 0, *self.grammar, at_end=True)
        if record is None:
            return ""
        field = record.fields - 1 if record.whole else record.fields
        return self.layout.columns[field] if field < len(self.layout.columns) else ""


def _read(text: bytes, layout: Layout) -> pa.Table:
    """Good records in UTF-8 to a table of strings, empty values null."""
    strings = pa.schema([(name, pa.string()) for name in layout.columns])
    if not text:
        return strings.empty_table()
    if text.startswith(_BOM):
        # Inside a file it is data, but pyarrow would drop it at the start of a block.
        text = b"\n" + text
    return pa_csv.read_csv(
        pa.BufferReader(text),
        read_options=pa_csv.ReadOptions(
            column_names=layout.columns, use_threads=False, block_size=max(len(text) + 1, 64)
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=layout.delimiter, quote_char=layout.quotechar, newlines_in_values=True
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=strings, strings_can_be_null=True, null_values=[""], check_utf8=False
        ),
    )
