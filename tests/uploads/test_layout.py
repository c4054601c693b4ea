# ruff: noqa: E501 - one case a line reads better than a wrapped one
"""What the head of a file tells, and which files are refused."""

import json
import time
from pathlib import Path

import pytest

from tests.uploads.reading import read_file
from uploads.layout import Layout, inspect
from uploads.refusals import Refusal


@pytest.fixture
def make(tmp_path: Path):
    def write(content: bytes, name: str = "file.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def refusal(path: Path, **options) -> Refusal:
    with pytest.raises(Refusal) as caught:
        inspect(path, path.name, **options)
    return caught.value


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_and_columns_are_found(make, delimiter: str) -> None:
    rows = [["a", "b", "c"], ["1", '"x,;|\t\ny"', "2,5" if delimiter != "," else "2"], ["4", "", "6"]]
    layout = inspect(make("\n".join(delimiter.join(row) for row in rows).encode()), "file.csv")
    assert (layout.delimiter, layout.columns) == (delimiter, ("a", "b", "c"))
    assert (layout.data_offset, layout.data_line) == (6, 2)
    assert layout.format == ("tsv" if delimiter == "\t" else "csv")


def test_layout_survives_json(make) -> None:
    layout = inspect(make(b"a,,a\n1,2,3\n"), "file.csv")
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


def test_column_names_are_stripped_filled_and_made_unique(make) -> None:
    layout = inspect(make(b' a ,,a,a_2,"two\nlines",a\n1,2,3,4,5,6\n'), "file.csv")
    assert layout.columns == ("a", "column_2", "a_3", "a_2", "two lines", "a_4")
    assert layout.data_line == 3
    assert layout.warnings[0] == "Column 2 has no name; it is called column_2."
    assert layout.warnings[1] == "Column 'a' appears again as column 3; it is called a_3."


@pytest.mark.parametrize("names", [[f"name {n}" for n in range(2000)], ["same"] * 2000, [""] * 2000])
def test_two_thousand_columns_are_quick(make, names: list[str]) -> None:
    path = make((",".join(names) + "\n" + ",".join("1" * 2000) + "\n").encode())
    started = time.process_time()
    layout = inspect(path, "file.csv")
    assert time.process_time() - started < 2
    assert len(set(layout.columns)) == 2000
    assert len(layout.warnings) <= 21


def test_one_ragged_row_in_the_sample_does_not_change_the_columns(make) -> None:
    assert inspect(make(b"a,b,c\n1,2\n3,4,5\n6,7,8;9;10;11\n"), "f.csv").columns == ("a", "b", "c")


def test_one_column_is_a_table(make) -> None:
    layout = inspect(make(b"name\nZoe\nMax\n"), "f.csv")
    assert (layout.columns, layout.delimiter) == (("name",), ",")


def test_without_header_the_commonest_width_counts(make) -> None:
    layout = inspect(make(b"1,2\n1,2,3\n4,5,6\n"), "f.csv", has_header=False)
    assert layout.columns == ("column_1", "column_2", "column_3")
    assert (layout.data_offset, layout.data_line, layout.warnings) == (0, 1, ())


def test_header_only_and_leading_blank_lines(make) -> None:
    layout = inspect(make(b"\r\n\r\na,b\r\n"), "f.csv")
    assert (layout.columns, layout.data_offset, layout.data_line) == (("a", "b"), 9, 4)


@pytest.mark.parametrize(
    ("codec", "mark", "found"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", b"\xef\xbb\xbf", "utf-8"),
        ("utf-16-le", b"\xff\xfe", "utf-16-le"),
        ("utf-16-be", b"\xfe\xff", "utf-16-be"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-16-be", b"", "utf-16-be"),
        ("cp1252", b"", "cp1252"),
    ],
)
def test_encodings_are_detected_and_read(tmp_path: Path, codec: str, mark: bytes, found: str) -> None:
    text = 'name,town\nJosé,"Köln ""am"" Rhein"\nAnaïs,"Orléans\nCentre"\nBjörn,Malmö\n'
    layout, rows, rejects = read_file(tmp_path / "f.csv", mark + text.encode(codec))
    assert layout.encoding == found
    assert layout.columns == ("name", "town")
    assert rows == [["José", 'Köln "am" Rhein'], ["Anaïs", "Orléans\nCentre"], ["Björn", "Malmö"]]
    assert not rejects
    assert bool(layout.warnings) == (codec == "cp1252")


def test_cyrillic_is_told_from_western(make) -> None:
    text = "имя,город\n" + "Мария Иванова,Санкт-Петербург\nИван Петров,Нижний Новгород\n" * 20
    layout = inspect(make(text.encode("cp1251")), "f.csv")
    assert layout.encoding == "cp1251"
    assert "read as cp1251" in layout.warnings[0]


@pytest.mark.parametrize(
    "text", ["José,München\nEuro,€5", "Müller;12\nÖzil;3", "£5\n£6", "façade\nœuvre", "Ærø,Tønder\n5 °C,m²"]
)
def test_a_few_accents_are_western(make, text: str) -> None:
    layout = inspect(make(f"name,town\n{text}\n".encode("cp1252")), "f.csv", delimiter=",")
    assert layout.encoding == "cp1252"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_title_above_the_names_is_told(make, mark: str) -> None:
    text = "Report 2024\n\n" + "".join(f"{mark.join(row)}\n" for row in (("name", "price"), ("A", "1"), ("B", "2")))
    names = {",": "comma", ";": "semicolon", "\t": "tab"}
    assert inspect(make(text.encode()), "f.csv").warnings == (
        f"The first row has 1 field, but most rows have 2 with a {names[mark]} between them; "
        "delete what stands above the names of the columns, or complete them.",
    )


def test_a_name_that_is_missing_is_told(make) -> None:
    (warning,) = inspect(make(b"a,b\n0,1,2\n1,3,4\n"), "f.csv").warnings
    assert warning.startswith("The first row has 2 fields, but most rows have 3 with a comma between them;")


@pytest.mark.parametrize("text", ["name\nAda\nBob\n", "a,b\n1,2\n3\n4,5\n", "a,b\n", "text\nHello, world\nx\ny\nz\n"])
def test_rows_that_fit_their_names_are_no_matter(make, text: str) -> None:
    assert inspect(make(text.encode()), "f.csv").warnings == ()


def test_a_character_cut_by_the_head_is_no_fault(make) -> None:
    row = "é" * 99 + "\n"
    assert inspect(make(b"a\n" + row.encode() * 3000), "f.csv").encoding == "utf-8"
    assert inspect(make(b"ab\n" + row.encode() * 3000), "f.csv").warnings == ()


def test_few_bad_bytes_leave_a_file_utf8(make) -> None:
    layout = inspect(make(b"a,b\n" + "é,ü\n".encode() * 50 + b"\xff,1\n"), "f.csv")
    assert layout.encoding == "utf-8"
    assert "rejected" in layout.warnings[0]


def test_overrides(make) -> None:
    layout = inspect(make("a;b,c\né;2,3\n".encode("latin-1")), "f.csv", delimiter=";", encoding="latin-1")
    assert (layout.delimiter, layout.encoding, layout.columns) == (";", "iso8859-1", ("a", "b,c"))


def test_a_quote_in_the_first_row_that_never_closes(make) -> None:
    found = refusal(make(b'a,"b\n' + b"1,2\n" * 500_000))
    assert (found.code, found.message) == (
        "header_invalid",
        "Line 1: a quote in the first row is not closed properly.",
    )


BINARY = [
    (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG image"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"),
    (b"PK\x03\x04\x14\x00[Content_Types].xml", "an Excel workbook"),
    (b"PK\x03\x04\x14\x00readme.txt", "a ZIP archive"),
    (b"\x1f\x8b\x08\x00\x00\x00", "a gzip archive"),
    (b"PAR1\x15\x04\x15", "a Parquet file"),
    (b"%PDF-1.7\n", "a PDF document"),
    (b"\x7fELF\x02\x01", "a program"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word document"),
    (b"\x00" * 3000, "binary data"),
    (b"abc\x00def,\x01\x02\n1,2\n", "binary data"),
    (bytes(range(256)) * 64, "binary data"),
    (b"<!DOCTYPE html><html><body>Log in</body></html>", "a web page"),
    (b"<?xml version='1.0'?><a/>", "an XML document"),
    (b'[{"a": 1}, {"a": 2}]', "JSON"),
    (b'{"a": 1}\n{"a": 2}\n', "JSON"),
]


@pytest.mark.parametrize(("content", "kind"), BINARY)
def test_what_is_no_table_is_named(make, content: bytes, kind: str) -> None:
    found = refusal(make(content))
    assert (found.code, found.message) == ("unsupported_format", f"The file looks like {kind}, not a table.")


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        (b"", {}, "empty_file", "The file is empty."),
        (b"\n\r\n", {}, "empty_file", "The file contains only blank lines."),
        (b"\xef\xbb\xbf", {}, "empty_file", "The file contains only blank lines."),
        (b"a,b\n", {"encoding": "klingon"}, "unknown_encoding", "There is no encoding named 'klingon'; try utf-8 or cp1252."),
        (b"a,b\n", {"encoding": "hex"}, "unsupported_encoding", "The encoding 'hex' is not supported; save the file as UTF-8."),
        (b"a\0\0\0,\0\0\0", {"encoding": "utf-32"}, "unsupported_format", "The file looks like binary data, not a table."),
        (b"\xff\xfe\0\0a\0\0\0", {}, "unsupported_encoding", "The file is UTF-32; save it as UTF-8."),
        ("é,b\n".encode("latin-1"), {"encoding": "utf-8"}, "wrong_encoding", "The file is not utf-8: byte 0xE9 at offset 0 has no meaning in it."),
        (b"a,b\n1,2\n", {"encoding": "utf-16"}, "wrong_encoding", "The file is not utf-16-le: its bytes do not come in pairs of that kind."),
        ("a,b\n".encode("utf-16"), {"encoding": "cp1252"}, "wrong_encoding", "The file is UTF-16-LE, not cp1252."),
        (b"a,b\n", {"delimiter": "::"}, "bad_delimiter", "The delimiter must be one ASCII character that is no letter, digit or quote."),
        (b"a,b\n", {"delimiter": '"'}, "bad_delimiter", "The delimiter must be one ASCII character that is no letter, digit or quote."),
        (b"a,b\n", {"delimiter": ""}, "bad_delimiter", "The delimiter must be one ASCII character that is no letter, digit or quote."),
        (b"a" * 2**21, {}, "header_too_long", "The first line is longer than 1 MiB."),
        (b"," * 6_000 + b"\n", {}, "too_many_columns", "The file has 6,001 columns; at most 6,000 can be imported."),
        (b'a,"b\nc', {}, "header_invalid", "Line 1: a quote in the first row is not closed properly."),
    ],
)  # fmt: skip
def test_refusals(make, content: bytes, options: dict, code: str, message: str) -> None:
    found = refusal(make(content), **options)
    assert (found.code, found.message) == (code, message)


def test_an_ambiguous_dialect_ranks_its_candidates(make) -> None:
    found = refusal(make(b"a,b;c\n1,2;3\n4,5;6\n"))
    assert (found.code, found.message) == (
        "dialect_ambiguous",
        "Both comma and semicolon could separate the values; name the delimiter.",
    )
    assert found.details == [
        {"delimiter": ",", "columns": 2, "share": 1.0},
        {"delimiter": ";", "columns": 2, "share": 1.0},
    ]


def test_the_name_and_the_content_must_agree(make) -> None:
    found = refusal(make(b"a,b\n1,2\n", "f.tsv"))
    assert found.code == "dialect_ambiguous"
    assert inspect(make(b"a,b\n1,2\n", "f.tsv"), "f.tsv", delimiter=",").columns == ("a", "b")
    found = refusal(make(b"a,b\n1,2\n", "f.docx"))
    assert found.message == "Files named .docx cannot be imported; send a .csv or .tsv file."
