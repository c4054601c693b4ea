"""Which format a file has: its name, its first bytes and its head must agree; if not, the answer says what it is."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import zipfile
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from lro import datasets
from tests.uploads.sending import Sender, rows_of
from uploads.models import Dataset

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

CSV = b"name,age\nAda,36\nGrace,85\n"
JSON_LINES = b'{"name":"Ada","age":36}\n{"name":"Grace","age":85}\n'
ROWS = [{"name": "Ada", "age": 36}, {"name": "Grace", "age": 85}]


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in (("name", "age"), ("Ada", 36), ("Grace", 85)):
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", CSV)
    return file.getvalue()


DOCUMENT = "The file looks like one JSON document; write one object a line (JSON Lines), as `jq -c '.[]'` does."
MADE = {
    "data.csv": CSV,
    "data.tsv": CSV.replace(b",", b"\t"),
    "data": CSV,
    "data.CSV.GZ": gzip.compress(CSV),
    "data.csv.zst": zstandard.compress(CSV),
    "data.tsv.gz": gzip.compress(CSV.replace(b",", b"\t")),
    "data.gz": gzip.compress(CSV),
    "data.jsonl": JSON_LINES,
    "data.ndjson": JSON_LINES,
    "data.json": JSON_LINES,
    "lines": JSON_LINES,
    "data.jsonl.gz": gzip.compress(JSON_LINES),
    "data.jsonl.zst": zstandard.compress(JSON_LINES),
    "data.xlsx": workbook(),
    "book": workbook(),
    "data.parquet": parquet(),
    "data.pq": parquet(),
    "columns": parquet(),
}


@pytest.mark.parametrize("name", MADE)
def test_every_format_becomes_the_same_dataset(sender: Sender, name: str) -> None:
    operation = sender.imported(MADE[name], name)
    assert rows_of(operation) == ROWS
    dataset = datasets.load(Dataset.objects.get().pk)
    assert dataset.columns == [{"name": "name", "type": "string"}, {"name": "age", "type": "integer"}]
    assert [row["age"] for row in dataset.read(0, ["age"]).to_pylist()] == [36, 85]


def test_what_was_found_is_told(sender: Sender) -> None:
    operation = sender.imported(MADE["data.csv.zst"], "data.csv.zst")
    told = operation.events.get(kind="uploads.detected").data
    assert (told["format"], told["compression"], told["columns"]) == ("csv", "zstd", 2)
    assert (operation.result["format"], operation.result["compression"]) == ("csv", "zstd")
    operation = sender.imported(workbook(), "data.xlsx")
    assert (operation.result["format"], operation.result["sheet"]) == ("xlsx", "Sheet")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (JSON_LINES, "a.csv", "The file is named .csv, but looks like JSON Lines."),
        (CSV, "a.jsonl", "The file is named .jsonl, but looks like delimited text."),
        (workbook(), "a.csv", "The file is named .csv, but looks like an Excel workbook."),
        (parquet(), "a.tsv", "The file is named .tsv, but looks like a Parquet file."),
        (CSV, "a.xlsx", "The file is named .xlsx, but looks like delimited text."),
        (CSV, "a.parquet", "The file is named .parquet, but looks like delimited text."),
        (b"%PDF-1.7 \n", "a.xlsx", "The file is named .xlsx, but looks like a PDF document."),
        (zipped(), "a.xlsx", "The file is named .xlsx, but looks like a ZIP archive."),
        (zipped(), "a.csv", "The file looks like a ZIP archive, not a table."),
        (gzip.compress(CSV), "a.csv", "The file looks like a gzip archive; name it so, as data.csv.gz."),
        (zstandard.compress(CSV), "a.csv.gz", "The file looks like a zstd archive; name it so, as data.csv.zst."),
        (CSV, "a.csv.gz", "The file is named as a gzip archive, but looks like delimited text."),
        (JSON_LINES, "a.jsonl.zst", "The file is named as a zstd archive, but looks like JSON Lines."),
        (gzip.compress(parquet()), "a.parquet.gz", "A Parquet file is packed already; send it as it is."),
        (gzip.compress(workbook()), "a.gz", "An Excel workbook is packed already; send it as it is."),
        (gzip.compress(gzip.compress(CSV)), "a.csv.gz", "The file looks like a gzip archive, not a table."),
        (
            b'[{"a": 1}]',
            "a.json",
            DOCUMENT,
        ),
        (CSV, "a.exe", "Files named .exe cannot be imported; send one of .csv, .tsv, .jsonl, .xlsx, .parquet."),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
            "a.xlsx",
            "The file is named .xlsx, but looks like an old Excel document, or one with a password; "
            "save it as .xlsx without a password.",
        ),
        (b'[\n{"a": 1},\n{"a": 2}\n]\n', "a.jsonl", DOCUMENT),
        (b'[{"a": 1},\n {"a": 2}]\n', "a.json", DOCUMENT),
        (b'{"rows": [\n{"a": 1},\n{"a": 2}\n]}\n', "a.json", DOCUMENT),
    ],
    ids=lambda value: "content" if isinstance(value, bytes) else value,  # archives tell when they were made
)
def test_a_name_that_does_not_agree_is_answered_with_what_the_file_looks_like(
    sender: Sender, content: bytes, name: str, message: str
) -> None:
    assert sender.refused(content, name) == (415, "unsupported_format", message)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("data.jsonl", {"delimiter": ";"}),
        ("data.xlsx", {"header": "false"}),
        ("data.parquet", {"encoding": "utf-8"}),
        ("data.csv", {"sheet": "Data"}),
        ("data.xlsx", {"delimiter": ","}),
    ],
)
def test_a_field_that_says_nothing_about_the_format_is_refused(sender: Sender, name: str, fields: Any) -> None:
    answer = sender.post(MADE[name], name, **fields)
    option = next(iter(fields))
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_option")
    assert answer.json()["errors"][0]["pointer"] == f"/{option}"


@pytest.mark.parametrize("first", [b'["order", 4]', b'{"name": "Ada",', b'{"name": "Ada", "tags": ['])
def test_a_broken_first_line_of_json_lines_is_a_reject_and_no_document(sender: Sender, first: bytes) -> None:
    operation = sender.imported(first + b"\n" + JSON_LINES, "a.jsonl")
    assert rows_of(operation) == ROWS
    assert operation.rejects.get().position == 1


def test_a_first_row_that_is_data_can_be_read_as_such(sender: Sender) -> None:
    taken = sender.imported(b"1,2\n3,4\n", "a.csv").result
    assert [column["name"] for column in taken["columns"]] == ["1", "2"]
    assert taken["warnings"] == [
        "The first row holds numbers only, and names the columns; if it is data, send the file with header=false."
    ]
    told = sender.imported(b"1,2\n3,4\n", "a.csv", header="false")
    assert rows_of(told) == [{"column_1": 1, "column_2": 2}, {"column_1": 3, "column_2": 4}]
    assert told.result["warnings"] == []


def test_columns_whose_names_no_schema_can_hold_are_refused_at_once(sender: Sender) -> None:
    header = ",".join(f"column_{number}" for number in range(5_999)).encode()
    code, detail = sender.refused(header + b"\n", "data.csv")[1:]
    assert code == "too_many_columns"
    assert detail.startswith("The names of the 5,999 columns are too long or too many: they take ")


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_column_whose_name_no_database_holds_is_refused(sender: Sender, name: str) -> None:
    pq.write_table(pa.table({"name": [1], "a\0b": [2]}), sink := io.BytesIO())
    content = sink.getvalue() if name.endswith("parquet") else "name,a\0b\n1,2\n".encode("utf-16")
    detail = "The name of column 2 contains U+0000, which cannot be stored."
    assert sender.refused(content, name) == (422, "header_invalid", detail)


def test_a_name_of_a_column_may_be_long(sender: Sender) -> None:
    name = "x" * 200_000
    assert sender.rows(f'"{name}",b\n1,2\n'.encode(), "data.csv") == [{name: 1, "b": 2}]


@pytest.mark.parametrize("field", ["types", "schema"])
def test_json_of_any_depth_in_a_form_is_refused(sender: Sender, field: str) -> None:
    assert sender.refused(CSV, "data.csv", **{field: "[" * 100_000})[:2] == (400, "invalid")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.zst"])
def test_an_archive_of_nothing_is_an_empty_file(sender: Sender, name: str) -> None:
    nothing = gzip.compress(b"") if name.endswith("gz") else zstandard.compress(b"")
    assert sender.refused(nothing, name) == (422, "empty_file", "The file is empty.")


def test_the_limits_name_the_formats(sender: Sender) -> None:
    limits = sender.client.get("/uploads/limits").json()
    assert {"csv", "tsv", "jsonl", "xlsx", "parquet", "csv.gz", "jsonl.zst"} <= set(limits["formats"])
    assert limits["max_unpacked_bytes"] > limits["max_bytes"]


def test_what_a_worker_loads_before_it_forks_is_light() -> None:
    script = (
        "import sys, django; django.setup(); import uploads.operations, uploads.views, uploads.serializers;"
        "print({'pyarrow', 'polars', 'numpy', 'lxml', 'zstandard'} & set(sys.modules))"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "config.settings"}

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    assert done.stdout.strip() == "set()"
