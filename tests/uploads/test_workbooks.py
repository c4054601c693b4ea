"""XLSX: what Excel shows is what a dataset holds, as openpyxl reads it too; and what could do harm is refused."""

from __future__ import annotations

import datetime
import io
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.uploads.sending import Sender, rejects_of, rows_of, types_of
from tests.uploads.workbooks import made, row, saved, text, value, written
from uploads import sheets
from uploads.sheets import DATE, DATETIME, DURATION, NUMBER, TIME, column_letters, column_number, kind_of_format
from uploads.workbook import Workbook

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
DAY, MOMENT = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 13, 45, 30, 250_000)


def test_values_keep_the_types_that_excel_gives_them(sender: Sender) -> None:
    header = ("n", "code", "price", "ok", "day", "at", "time", "for")
    lasting = datetime.timedelta(hours=25, minutes=30)
    content = written(
        [
            header,
            (7, "007", 1.5, True, DAY, MOMENT, datetime.time(9, 5), lasting),
            (-1, "é€ <&>", 2, False, None, MOMENT, None, lasting),
        ]
    )
    operation = sender.imported(content, "data.xlsx")
    assert types_of(operation) == dict(
        zip(header, ("integer", "string", "number", "boolean", "date", "datetime", "string", "string"), strict=True)
    )
    first, second = rows_of(operation)
    assert tuple(first.values()) == (7, "007", 1.5, True, DAY, MOMENT, "09:05:00", "25:30:00")
    assert tuple(second.values()) == (-1, "é€ <&>", 2.0, False, None, MOMENT, None, "25:30:00")


@pytest.mark.parametrize("batch", [1, 2, 8192])
def test_a_column_of_several_kinds_is_text_wherever_the_batches_end(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("uploads.sources.workbook.BATCH_ROWS", batch)
    content = written(
        [("mixed", "sizes", "times"), (7, 1, DAY), ("7", 2.5, MOMENT), (True, 3, None), (1.25, None, DAY)]
    )
    operation = sender.imported(content, "data.xlsx")
    assert types_of(operation) == {"mixed": "string", "sizes": "number", "times": "datetime"}
    rows = [tuple(row.values()) for row in rows_of(operation)]
    midnight = datetime.datetime(2024, 2, 29)
    assert rows == [("7", 1.0, midnight), ("7", 2.5, MOMENT), ("true", 3.0, None), ("1.25", None, midnight)]


def test_shared_strings_with_runs_spaces_escapes_and_readings(sender: Sender) -> None:
    strings = (
        "<si><t>name</t></si>"
        "<si><r><t>bold</t></r><r><t xml:space='preserve'> and </t></r><r><t>plain</t></r></si>"
        "<si><t xml:space='preserve'>  kept  </t></si>"
        "<si><t>a_x000D__x000A_b_x005F_x0041_</t></si>"
        "<si><t>東京</t><rPh sb='0' eb='2'><t>とうきょう</t></rPh></si>"
        "<si><t></t></si>"
    )
    sheet = "".join(row(n + 1, value(f"A{n + 1}", str(n), "s"), value(f"B{n + 1}", str(n + 1))) for n in range(6))
    rows = sender.rows(made(sheet, strings=strings), "data.xlsx")
    assert [row["name"] for row in rows] == ["bold and plain", "  kept  ", "a\r\nb_x0041_", "東京", None]


def test_dates_of_the_1904_system_are_four_years_later(sender: Sender) -> None:
    styles = '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    sheet = row(1, text("A1", "day")) + row(2, value("A2", "44000", style=1))
    assert sender.rows(made(sheet, styles=styles), "data.xlsx") == [{"day": datetime.date(2020, 6, 18)}]
    content = made(sheet, styles=styles, properties='<workbookPr date1904="1"/>')
    assert sender.rows(content, "data.xlsx") == [{"day": datetime.date(2024, 6, 19)}]


@pytest.mark.parametrize(
    ("serial", "expected"),
    [
        ("1", datetime.date(1900, 1, 1)),
        ("59", datetime.date(1900, 2, 28)),
        ("61", datetime.date(1900, 3, 1)),
        ("2958465", datetime.date(9999, 12, 31)),
        ("45000.5", datetime.datetime(2023, 3, 15, 12)),
        ("2958466", 2958466),
        ("-1", -1),
        ("0.25", "06:00:00"),
    ],
)
def test_the_days_of_the_1900_system(sender: Sender, serial: str, expected: object) -> None:
    styles = '<cellXfs><xf numFmtId="14"/></cellXfs>'
    content = made(row(1, text("A1", "day")) + row(2, value("A2", serial, style=0)), styles=styles)
    assert sender.rows(content, "data.xlsx") == [{"day": expected}]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("General", NUMBER),
        ("0.00%", NUMBER),
        ("#,##0.00\\ [$€-407]", NUMBER),
        ('0 "days"', NUMBER),
        ("[Red]-0.0;[Blue]0", NUMBER),
        ("@", NUMBER),
        ("#14", DATE),
        ("#22", DATETIME),
        ("#46", DURATION),
        ("yyyy\\-mm\\-dd", DATE),
        ("[$-409]d\\-mmm\\-yy;@", DATE),
        ("dd/mm/yyyy hh:mm", DATETIME),
        ("h:mm AM/PM", TIME),
        ("mm:ss.0", TIME),
        ("[h]:mm", DURATION),
        ("mmmm", DATE),
    ],
)
def test_a_number_format_says_whether_a_number_is_a_date(code: str, kind: int) -> None:
    assert kind_of_format(code) == kind


def test_an_error_and_a_formula_that_was_never_computed_are_rejects(sender: Sender) -> None:
    formula = '<c r="B4"><f>A4*2</f></c>'
    sheet = (
        row(1, text("A1", "item"), text("B1", "price"))
        + row(2, text("A2", "pen"), value("B2", "#N/A", "e"))
        + row(3, text("A3", "ink"), '<c r="B3"><f>1+1</f><v>2</v></c>')
        + row(4, text("A4", "cap"), formula)
        + row(5, text("A5", "nib, fine"), value("B5", "#DIV/0!", "e"), value("C5", "1"))
        + row(6, text("A6", "box"), '<c r="B6" t="str"><f>""</f><v></v></c>')
    )
    operation = sender.imported(made(sheet), "data.xlsx")
    assert rows_of(operation) == [{"item": "ink", "price": 2}, {"item": "box", "price": None}]
    assert rejects_of(operation) == [
        (2, "excel_error_value", "Row 2, column price: the cell holds the Excel error #N/A."),
        (
            4,
            "excel_error_value",
            "Row 4, column price: the formula has no stored value; open the workbook in Excel and save it.",
        ),
        (5, "ragged_long", "Row 5: cell C5 has a value, but its column has no name."),
    ]
    assert [reject.raw for reject in operation.rejects.order_by("position")] == [
        "pen,#N/A",
        "cap,",
        '"nib, fine",#DIV/0!',
    ]


def test_declared_types_make_what_does_not_fit_a_reject(sender: Sender) -> None:
    content = written([("item", "quantity"), ("pen", 3), ("ink", "N/A"), ("cap", "4")])
    operation = sender.imported(content, "data.xlsx", types='{"quantity": "integer"}')
    assert rows_of(operation) == [{"item": "pen", "quantity": 3}, {"item": "cap", "quantity": 4}]
    assert rejects_of(operation) == [(3, "type_error", "Row 3, column quantity: 'N/A' is not an integer.")]


def test_a_merged_cell_has_its_value_in_its_first_cell_only(sender: Sender) -> None:
    content = written(
        [("region", "n"), ("north", 1), (None, 2)],
        lambda book: book.active.merge_cells("A2:A3"),
    )
    assert sender.rows(content, "data.xlsx") == [{"region": "north", "n": 1}, {"region": None, "n": 2}]


def test_blank_rows_and_a_table_that_begins_further_in(sender: Sender) -> None:
    book = openpyxl.Workbook()
    for place, content in {"C4": "a", "D4": "b", "C6": 1, "D6": 2, "C9": 3, "B10": "note"}.items():
        book.active[place] = content
    operation = sender.imported(saved(book), "data.xlsx")
    assert rows_of(operation) == [{"a": 1, "b": 2}, {"a": 3, "b": None}]
    assert rejects_of(operation) == [(10, "ragged_long", "Row 10: cell B10 has a value, but its column has no name.")]


def test_rows_and_cells_without_a_place_stand_where_they_stand(sender: Sender) -> None:
    cell = "<c><v>{}</v></c>"
    header = '<c t="inlineStr"><is><t>a</t></is></c><c t="inlineStr"><is><t>b</t></is></c>'
    sheet = f"<row>{header}</row><row>{cell.format(1)}<c/></row><row><c/>{cell.format(4)}</row>"
    assert sender.rows(made(sheet), "data.xlsx") == [{"a": 1, "b": None}, {"a": None, "b": 4}]


def test_the_strict_kind_of_the_format_is_read_too(sender: Sender) -> None:
    sheet = row(1, text("A1", "a")) + row(2, value("A2", "2024-02-29", "d")) + row(3, value("A3", "2024-03-01", "d"))
    content = made(sheet, namespace="http://purl.oclc.org/ooxml/spreadsheetml/main")
    assert [row["a"] for row in sender.rows(content, "data.xlsx")] == [DAY, datetime.date(2024, 3, 1)]


class TestASheet:
    @pytest.fixture
    def content(self) -> bytes:
        book = openpyxl.Workbook()
        book.active.title = "Notes"
        book.active.sheet_state = "hidden"
        for name, number in (("Sales", 1), ("Costs", 2)):
            sheet = book.create_sheet(name)
            sheet.append(["n"])
            sheet.append([number])
        book.create_sheet("Empty")
        book.create_chartsheet("Chart", 0)
        return saved(book)

    def test_is_the_first_that_is_visible(self, sender: Sender, content: bytes) -> None:
        operation = sender.imported(content, "data.xlsx")
        assert rows_of(operation) == [{"n": 1}]
        assert operation.result["warnings"] == [
            "The sheet 'Notes' is hidden and was passed over.",
            "The sheet 'Sales' is imported; the field 'sheet' names another (Notes, Costs, Empty).",
        ]

    def test_is_named_by_the_request(self, sender: Sender, content: bytes) -> None:
        operation = sender.imported(content, "data.xlsx", sheet="Costs")
        assert (rows_of(operation), operation.result["sheet"]) == ([{"n": 2}], "Costs")

    def test_that_is_not_there_is_refused_with_the_nearest(self, sender: Sender, content: bytes) -> None:
        answer = sender.post(content, "data.xlsx", sheet="Cost")
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_sheet")
        assert answer.json()["detail"] == "The workbook has no sheet 'Cost'. Did you mean 'Costs'?"
        assert answer.json()["errors"][0]["pointer"] == "/sheet"
        detail = sender.refused(content, "data.xlsx", sheet="Zzz")[2]
        assert detail == "The workbook has no sheet 'Zzz'. Its sheets are: Notes, Sales, Costs, Empty."

    def test_that_is_empty_is_refused(self, sender: Sender, content: bytes) -> None:
        assert sender.refused(content, "data.xlsx", sheet="Empty")[:2] == (422, "empty_file")


class TestAHeader:
    def test_has_its_missing_and_doubled_names_filled_and_told(self, sender: Sender) -> None:
        operation = sender.imported(written([("a", None, "a", " b "), (1, 2, 3, 4)]), "data.xlsx")
        assert rows_of(operation) == [{"a": 1, "column_2": 2, "a_2": 3, "b": 4}]
        assert operation.result["warnings"] == [
            "Column 2 has no name; it is called column_2.",
            "Column 'a' appears again as column 3; it is called a_2.",
        ]

    def test_of_16384_columns_is_refused(self, sender: Sender) -> None:
        sheet = row(1, text("A1", "a"), text("XFD1", "z"))
        code, detail = sender.refused(made(sheet), "data.xlsx")[1:]
        assert (code, detail) == ("too_many_columns", "The file has 16,384 columns; at most 6,000 can be imported.")

    def test_with_an_error_is_refused(self, sender: Sender) -> None:
        sheet = row(1, text("A1", "a"), value("B1", "#REF!", "e"))
        assert sender.refused(made(sheet), "data.xlsx") == (
            422,
            "header_invalid",
            "Cell B1, a column's name, holds an error or an uncomputed formula.",
        )

    def test_may_hold_numbers(self, sender: Sender) -> None:
        assert sender.rows(written([(2023, 2024), (1, 2)]), "data.xlsx") == [{"2023": 1, "2024": 2}]

    def test_alone_is_a_dataset_without_rows(self, sender: Sender) -> None:
        operation = sender.imported(written([("a", "b")]), "data.xlsx")
        assert types_of(operation) == {"a": "string", "b": "string"}
        assert rows_of(operation) == []


def with_member(name: str, content: bytes) -> bytes:
    return made(row(1, text("A1", "a")) + row(2, value("A2", "1")), members={name: content})


BOMB = b"<worksheet><sheetData>" + b"<row/>" * (12 * 2**20) + b"</sheetData></worksheet>"
ENTITY = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (with_member("xl/worksheets/sheet1.xml", BOMB), "unsafe_workbook", "times its size"),
        (made(row(1, text("A1", "&b;")), head=ENTITY), "unsafe_workbook", "declares entities"),
        (made(row(1, text("A1", "&a;")), head=EXTERNAL), "unsafe_workbook", "declares entities"),
        (
            made(row(1, value("A1", "0", "s")), strings="<si><t>&a;</t></si>", members={}, head=EXTERNAL),
            "unsafe_workbook",
            "declares entities",
        ),
        (with_member("xl/workbook.xml", b"<workbook"), "bad_workbook", "xl/workbook.xml"),
        (with_member("xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row"), "empty_file", "is empty"),
        (made(row(1, value("A1", "5", "s"))), "bad_workbook", "no shared string 5"),
        (made('<row r="x"/>'), "bad_workbook", "no number of a row"),
        (made(row(1, text("A-1", "a"))), "bad_workbook", "no column"),
        (written([("a",), (1,)])[:-40], "bad_workbook", "not a zip file"),
        (made(""), "empty_file", "is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_workbook_that_is_broken_or_could_do_harm_is_refused(
    sender: Sender, content: bytes, code: str, words: str
) -> None:
    status, found, detail = sender.refused(content, "data.xlsx")
    assert (status, found) == (422, code)
    assert words in detail


def test_a_row_that_never_ends_is_refused(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.workbook._MAX_ELEMENT", 2**20)
    cells = "".join(f"<c><v>{n}</v></c>" for n in range(150_000))
    content = made(row(1, text("A1", "a")) + row(2, cells))
    operation = sender.ended(content, "data.xlsx")
    assert (operation.state, operation.error["code"]) == ("failed", "unsafe_workbook")
    assert operation.error["message"] == (
        "The workbook is refused: a row of xl/worksheets/sheet1.xml is longer than 1 MiB."
    )


def test_too_much_distinct_text_is_refused(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.sources.workbook._MAX_STRINGS_BYTES", 10)
    content = made(row(1, value("A1", "0", "s")), strings="<si><t>some words</t></si>")
    operation = sender.ended(content, "data.xlsx")
    assert operation.error["message"].endswith("distinct texts; send it as CSV.")


def test_a_sheet_that_unpacks_to_more_than_the_limit_is_refused(sender: Sender, settings: Any) -> None:
    settings.UPLOADS = {**settings.UPLOADS, "MAX_UNPACKED_BYTES": 1000}
    assert "more than the 1,000 that are allowed" in sender.refused(written([("a",)]), "data.xlsx")[2]


def test_a_damaged_member_fails_the_import_with_its_place(sender: Sender) -> None:
    content = bytearray(written([("a", "b"), *((n, f"text {n}") for n in range(20_000))]))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo("xl/worksheets/sheet1.xml")
    content[info.header_offset + info.compress_size // 2] ^= 0xFF
    operation = sender.ended(bytes(content), "data.xlsx")
    assert (operation.state, operation.error["code"]) == ("failed", "bad_workbook")
    assert "xl/worksheets/sheet1.xml" in operation.error["message"]


def test_a_list_of_very_many_members_is_refused_before_it_is_read(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploads.workbook._MAX_DIRECTORY", 600)
    content = made(row(1, text("A1", "a")), members={f"xl/media/image{n}": b"" for n in range(10)})
    assert "its list of members has" in sender.refused(content, "data.xlsx")[2]


def test_names_of_columns_that_stand_very_far_are_refused(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.sheets._FIRST_STRINGS", 2)
    monkeypatch.setattr("uploads.sheets._FIRST_ROWS", 2)
    strings = "<si><t>a</t></si>" * 3
    assert "only after very many" in sender.refused(made(row(1, value("A1", "2", "s")), strings=strings), "a.xlsx")[2]
    content = made(row(1) + row(2) + row(3, text("A3", "a")))
    assert "begins with very many blank rows" in sender.refused(content, "a.xlsx")[2]


def test_columns_have_letters() -> None:
    for number, letters in {0: "A", 25: "Z", 26: "AA", 701: "ZZ", 702: "AAA", 16_383: "XFD"}.items():
        assert (column_letters(number), column_number(letters)) == (letters, number)


def test_rows_may_be_read_from_any_row_on(tmp_path: Path) -> None:
    path = tmp_path / "f.xlsx"
    path.write_bytes(written([("a",), *((n,) for n in range(50))]))
    with Workbook(path) as book:
        cells = sheets.Cells(book, book.sheet(None), 0, 1)
        assert [row.values for row in cells.rows(after=48)] == [["47"], ["48"], ["49"]]
