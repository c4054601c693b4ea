"""XLSX: the rows of a sheet to columns. What Excel calls a number, a text, a date or a boolean stays one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..batches import RAW_BYTES, Batch, RowReject
from ..column_types import TEXT_DATES
from ..conformance import enforce
from ..layout import Layout
from ..refusals import Refusal
from ..sheets import ERROR, Cells, Row
from ..table_schema import Schema
from ..workbook import Workbook
from .cells import ColumnBuilder

BATCH_ROWS = 8_192
_MAX_STRINGS_BYTES = 256 * 2**20
_STRINGS_AT_ONCE = 50_000


class WorkbookSource:
    text_types: tuple[str, ...] = TEXT_DATES

    def __init__(self, path: Path, layout: Layout, schema: Schema) -> None:
        self.path, self.layout, self.schema = path, layout, schema
        self.first = layout.data_offset
        self.width = len(layout.columns)

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        after = cursor["row"] if cursor else self.layout.data_line - 1
        with Workbook(self.path) as book:
            self.builder = ColumnBuilder(shared_strings(book), book.is_1904)
            sheet = book.sheet(self.layout.sheet)
            rows = Cells(book, sheet, self.first, self.width).rows(after)
            while taken := list(islice(rows, BATCH_ROWS)):
                table, rejects = self._take([row for row in taken if not row.is_blank])
                yield Batch(table, rejects, {"row": taken[-1].number}, book.fraction(sheet.member))

    def _take(self, rows: list[Row]) -> tuple[pa.Table, list[RowReject]]:
        bad = [row for row in rows if row.surplus or max(row.kinds) >= ERROR]
        good = [row for row in rows if not row.surplus and max(row.kinds) < ERROR] if bad else rows
        rejects = [self._fault(row) for row in bad]
        table = self._table(good)
        if self.schema:
            table, misfits = enforce(table, self.schema)
            rejects += [self._reject(good[one.row], one.column, one.code, one.problem) for one in misfits]
            rejects.sort(key=lambda reject: reject.line)
        return table, rejects

    def _table(self, rows: list[Row]) -> pa.Table:
        kinds = np.frombuffer(b"".join(row.kinds for row in rows), np.uint8).reshape(len(rows), self.width)
        columns = list(zip(*(row.values for row in rows), strict=True)) or [()] * self.width
        built = [self.builder.column(kinds[:, place], column) for place, column in enumerate(columns)]
        return pa.table(built, names=list(self.layout.columns))

    def _fault(self, row: Row) -> RowReject:
        """The reject of a row with a cell that has no value, or no column."""
        if row.surplus:
            problem = f"cell {row.surplus} has a value, but its column has no name."
            return self._reject(row, "", "ragged_long", problem)
        place = next(place for place, kind in enumerate(row.kinds) if kind >= ERROR)
        shown = f"the cell holds the Excel error {row.values[place]}."
        problem = shown if row.kinds[place] == ERROR else _UNCOMPUTED_PROBLEM
        return self._reject(row, self.layout.columns[place], "excel_error_value", problem)

    def _reject(self, row: Row, column: str, code: str, problem: str) -> RowReject:
        place = f"Row {row.number}" + (f", column {column}" if column else "")
        return RowReject(row.number, None, column, code, f"{place}: {problem}", self._raw(row))

    def _raw(self, row: Row) -> str:
        """The row as a line of CSV."""
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([self.builder.text(cell) for cell in row.cells()])
        return line.getvalue()[:RAW_BYTES]


_UNCOMPUTED_PROBLEM = "the formula has no stored value; open the workbook in Excel and save it."


def shared_strings(book: Workbook) -> pa.Array:
    """All shared strings, compactly: 8 bytes each beside their text. Raises Refusal `unsafe_workbook`."""
    chunks, size = [pa.array([], pa.large_string())], 0
    strings = book.shared_strings()
    while taken := list(islice(strings, _STRINGS_AT_ONCE)):
        chunks.append(pa.array(taken, pa.large_string()))
        size += chunks[-1].nbytes
        if size > _MAX_STRINGS_BYTES:
            limit = _MAX_STRINGS_BYTES // 2**20
            raise Refusal(
                "unsafe_workbook", f"The workbook has more than {limit} MiB of distinct texts; send it as CSV."
            )
    return pa.concat_arrays(chunks)
