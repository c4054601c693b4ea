"""The cells of a worksheet, row by row, each with what it holds: a number, a text, a date, an error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from .layout import Layout, check_width, unique_names
from .refusals import Refusal
from .workbook import Sheet, Workbook, bad_workbook, text_of

EMPTY, NUMBER, SHARED, TEXT, BOOLEAN, DATE, DATETIME, TIME, DURATION, ERROR, UNCOMPUTED = range(11)
#: The most columns that Excel knows.
MAX_COLUMNS = 16_384
#: One past the serial number of the last day, 9999-12-31.
_DAYS = 2_958_466
#: How far the names of columns are looked for, in rows of the sheet and in shared strings.
_FIRST_ROWS, _FIRST_STRINGS = 10_000, 1_000_000
_BUILT_IN = {
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), *range(34, 37), *range(50, 59)), DATE),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 45, 47), TIME),
    22: DATETIME,
    46: DURATION,
}
_NOT_PARTS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)
Cell = tuple[int, Any]
_NOTHING: Cell = (EMPTY, None)


class Row(NamedTuple):
    """A row: its number (from 1), the kind and the value of the cell in each column, and a cell beyond them."""

    number: int
    kinds: bytearray
    values: list[Any]
    surplus: str | None

    @property
    def is_blank(self) -> bool:
        return self.surplus is None and not any(self.kinds)

    def cells(self) -> list[Cell]:
        return list(zip(self.kinds, self.values, strict=True))


class Cells:
    """Reads the rows of one sheet, of each the `width` columns from `first` (from 0) on."""

    def __init__(self, book: Workbook, sheet: Sheet, first: int = 0, width: int = MAX_COLUMNS) -> None:
        self.book, self.sheet, self.first, self.width = book, sheet, first, width
        self.styles = {str(index): kind_of_format(code) for index, code in enumerate(book.number_formats())}
        self.places: dict[str, int] = {}

    def rows(self, after: int = 0) -> Iterator[Row]:
        """The rows behind number `after`. Raises Refusal."""
        number = 0
        for element in self.book.elements(self.sheet.member, "row", "sheetData"):
            place = element.get("r")
            number = number + 1 if place is None else _whole(place)
            if number > after:
                yield self._row(element, number)

    def _row(self, element: Any, number: int) -> Row:
        """Written for speed: most of an import's time is spent here."""
        kinds, values, surplus = bytearray(self.width), [None] * self.width, None
        index, width, digits = -1 - self.first, self.width, len(str(number))
        places, styles, value_tag = self.places, self.styles, element.tag[:-3] + "v"
        for one in element:
            get = one.get
            place = get("r")
            index = index + 1 if place is None else places.get(place[:-digits], -MAX_COLUMNS - 1)
            if index < -MAX_COLUMNS:
                index = self._place(place)
            count = len(one)
            if not count:
                continue
            first, kind = one[0], get("t")
            if count > 1 or first.tag != value_tag:
                code, value = self._unusual(one, kind, first)
            elif kind == "s":
                code, value = SHARED, first.text
            elif (kind is None or kind == "n") and styles.get(get("s"), NUMBER) == NUMBER:
                code, value = NUMBER, first.text
            else:
                code, value = self._value(one, kind, first.text)
            if 0 <= index < width:
                kinds[index], values[index] = code, value
            elif value is not None:
                surplus = f"{column_letters(index + self.first)}{number}"
        return Row(number, kinds, values, surplus)

    def _place(self, place: str) -> int:
        letters = place.rstrip("0123456789")
        index = self.places[letters] = column_number(letters) - self.first
        return index

    def _value(self, one: Any, kind: str | None, text: str | None) -> Cell:
        if not text:
            return _NOTHING
        if kind == "s":
            return SHARED, text
        if kind is None or kind == "n":
            style = self.styles.get(one.get("s"), NUMBER)
            return (NUMBER, text) if style == NUMBER else _moment(style, text)
        if kind == "b":
            return BOOLEAN, text.strip() in ("1", "true")
        return (ERROR, text) if kind == "e" else (TEXT, text)

    def _unusual(self, one: Any, kind: str | None, first: Any) -> Cell:
        """An inline string, a formula, or a cell with extensions."""
        if kind == "inlineStr":
            inline = first if len(one) == 1 else one.find("{*}is")
            text = "" if inline is None else text_of(inline)
            return (TEXT, text) if text else _NOTHING
        value = one.find("{*}v")
        if value is not None and value.text:
            return self._value(one, kind, value.text)
        is_computed = kind == "str" or one.find("{*}f") is None
        return _NOTHING if is_computed else (UNCOMPUTED, None)


def column_number(letters: str) -> int:
    """The number of a column (from 0): A is 0, AA is 26. Raises Refusal."""
    if not (letters.isascii() and letters.isalpha() and len(letters) <= 3):
        raise bad_workbook(f"there is no column '{letters[:20]}'")
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def column_letters(number: int) -> str:
    """How Excel calls a column (from 0)."""
    letters = ""
    number += 1
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def kind_of_format(code: str) -> int:
    """What a number with this format shows: a number, a date, a time."""
    if code.startswith("#") and code[1:].isdigit():
        return _BUILT_IN.get(int(code[1:]), NUMBER)
    parts = _NOT_PARTS.sub("", code.split(";")[0]).lower()
    if "general" in parts:
        return NUMBER
    if re.search(r"\[[hms]+\]", parts):
        return DURATION
    days, hours = bool(re.search("[dy]|mmm", parts)), bool(re.search("[hs]", parts))
    if days:
        return DATETIME if hours else DATE
    return TIME if hours else DATE if "m" in parts else NUMBER


def _moment(kind: int, text: str) -> Cell:
    """A number that is shown as a date or time, as the kind of its value; a number where no date has it."""
    try:
        serial = float(text)
    except ValueError:
        return TEXT, text
    if kind == DURATION:
        return (DURATION, serial) if serial >= 0 else (NUMBER, text)
    if not 0 <= serial < _DAYS:
        return NUMBER, text
    if serial < 1:
        return (TIME, serial) if kind != DATE or serial else (NUMBER, text)
    if kind == TIME or (kind == DATE and serial % 1):
        kind = DATETIME
    return kind, serial


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise bad_workbook(f"'{text[:20]}' is no number of a row or string")
    return int(text)


def inspect(path: Path, wanted: str | None) -> Layout:
    """The layout of a workbook's sheet: its first row that is not blank names the columns.

    Raises Refusal `bad_workbook`, `unsafe_workbook`, `unknown_sheet`, `empty_file`, `header_invalid`,
    `too_many_columns`.
    """
    with Workbook(path) as book:
        sheet = book.sheet(wanted)
        header = _first_row(Cells(book, sheet))
        filled = [column for column, kind in enumerate(header.kinds) if kind]
        first, last = filled[0], filled[-1]
        check_width(last - first + 1)
        names, warnings = unique_names(_names(book, header, range(first, last + 1)))
        said = tuple(_warnings(book, sheet, wanted)) + warnings
    return Layout("xlsx", "utf-8", ",", '"', names, first, header.number + 1, said, sheet=sheet.name)


def _first_row(cells: Cells) -> Row:
    for row in islice(cells.rows(), _FIRST_ROWS):
        if any(row.kinds):
            return row
    raise Refusal("empty_file", f"The sheet '{cells.sheet.name}' is empty, or begins with very many blank rows.")


def _names(book: Workbook, header: Row, columns: range) -> list[str]:
    cells = [(header.kinds[column], header.values[column]) for column in columns]
    shared = _some_shared(book, [_whole(value) for kind, value in cells if kind == SHARED])
    for column, (kind, _) in zip(columns, cells, strict=True):
        if kind in (ERROR, UNCOMPUTED):
            place = f"{column_letters(column)}{header.number}"
            raise Refusal("header_invalid", f"Cell {place}, a column's name, holds an error or an uncomputed formula.")
    return [shared[int(value)] if kind == SHARED else str(value or "") for kind, value in cells]


def _some_shared(book: Workbook, wanted: Sequence[int]) -> dict[int, str]:
    """The shared strings of these numbers, read no further than to the last of them."""
    missing, found = set(wanted), dict[int, str]()
    for index, text in enumerate(islice(book.shared_strings(), _FIRST_STRINGS) if missing else ()):
        if index in missing:
            found[index] = text
            if len(found) == len(missing):
                break
    for index in missing - found.keys():
        raise bad_workbook(f"it has no shared string {index}, or only after very many")
    return found


def _warnings(book: Workbook, sheet: Sheet, wanted: str | None) -> Iterator[str]:
    if wanted is not None or len(book.sheets) == 1:
        return
    hidden = [one.name for one in book.sheets[: book.sheets.index(sheet)]]
    if hidden:
        yield f"The sheet '{hidden[0]}' is hidden and was passed over."
    others = ", ".join(one.name for one in book.sheets[:20] if one is not sheet)
    yield f"The sheet '{sheet.name}' is imported; the field 'sheet' names another ({others})."
