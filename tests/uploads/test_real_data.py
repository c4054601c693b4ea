"""Data that nobody here made, sent as files: the dataset holds what an independent reader reads.

From vega_datasets, scikit-learn, NumPy and PyArrow: CSV as it is and packed, JSON as JSON Lines, XLSX as openpyxl
writes and reads it, Parquet as pandas reads it.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy
import openpyxl
import pandas
import pyarrow
import pyarrow.parquet as pq
import pytest
import sklearn
import vega_datasets
import zstandard

from tests.uploads.sending import Sender, rejects_of, rows_of, types_of
from tests.uploads.workbooks import written
from uploads.models import Dataset

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

VEGA = Path(vega_datasets.__file__).parent / "_data"
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "data"
NUMPY = Path(numpy.__file__).parent
PYARROW = Path(pyarrow.__file__).parent / "tests" / "data" / "parquet"
TABLES = [
    *sorted(VEGA.glob("*.csv")),
    *(SKLEARN / name for name in ("iris.csv", "digits.csv.gz", "diabetes_target.csv.gz")),
    NUMPY / "random" / "tests" / "data" / "pcg64-testset-1.csv",
]
DOCUMENTS = [
    VEGA / f"{name}.json"
    for name in ("anscombe", "barley", "burtin", "cars", "crimea", "driving", "iris", "ohlc", "wheat")
]


def content_of(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def read_by_csv(content: bytes) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]


def stored(operation: Any) -> list[list[str]]:
    """The text of every cell as it was stored, "" for null."""
    dataset = Dataset.objects.get(operation_id=operation.pk)
    table = pq.ParquetDataset(dataset.paths()).read()
    return [[value or "" for value in row.values()] for row in table.to_pylist()]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_a_csv_file_holds_what_csv_reads(sender: Sender, path: Path) -> None:
    rows = read_by_csv(content_of(path))
    operation = sender.imported(path.read_bytes(), path.name)
    bad = [row for row in rows[1:] if len(row) != len(rows[0])]
    assert (bad, rejects_of(operation)) == ([], [])
    assert stored(operation) == rows[1:]


@pytest.mark.parametrize(("name", "rows"), [("wine_data.csv", 178), ("breast_cancer.csv", 569)])
def test_a_first_row_that_names_too_few_columns_makes_every_row_a_reject(sender: Sender, name: str, rows: int) -> None:
    """Theirs tells of the data instead: "178,13,class_0,class_1,class_2" before 14 columns."""
    operation = sender.imported((SKLEARN / name).read_bytes(), name)
    assert (operation.result["rows"], operation.result["reject_codes"]) == (0, {"ragged_long": rows})


@pytest.mark.parametrize("name", ["airports.csv", "seattle-weather.csv", "stocks.csv", "us-employment.csv"])
def test_its_types_and_values_are_those_of_pandas(sender: Sender, name: str) -> None:
    operation = sender.imported((VEGA / name).read_bytes(), name)
    expected = pandas.read_csv(VEGA / name, keep_default_na=False, na_values=[""])
    found = pandas.DataFrame(rows_of(operation))
    for column, kind in types_of(operation).items():
        if kind in ("integer", "number"):
            assert expected[column].dtype.kind in "if"
            pandas.testing.assert_series_equal(found[column], expected[column], check_dtype=False)
        if kind == "date":
            assert [str(day) for day in found[column]] == [day[:10] for day in expected[column]]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_packed_csv_file_makes_the_very_parts_of_the_plain_one(sender: Sender, pack: Any) -> None:
    content, ending = (VEGA / "airports.csv").read_bytes(), "gz" if pack is gzip.compress else "zst"
    plain, packed = sender.imported(content, "a.csv"), sender.imported(pack(content), f"a.csv.{ending}")
    digests = [
        list(Dataset.objects.get(operation_id=operation.pk).parts.values_list("rows", "sha256"))
        for operation in (plain, packed)
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_json_document_as_json_lines_holds_the_same_objects(sender: Sender, path: Path) -> None:
    objects = json.loads(path.read_bytes())
    content = "\n".join(json.dumps(one, ensure_ascii=False) for one in objects).encode()
    operation = sender.imported(content, f"{path.stem}.jsonl")
    types, rows = types_of(operation), rows_of(operation)
    assert list(types) == list(dict.fromkeys(key for one in objects for key in one))
    assert len(rows) == len(objects)
    for one, row in zip(objects, rows, strict=True):
        for column, kind in types.items():
            value = one.get(column)
            assert (
                row[column] == value
                if kind not in ("date", "datetime", "string")
                else str(row[column])[:10] == str(value)[:10]
            )


@pytest.mark.parametrize("name", ["cars.json", "seattle-weather.csv", "airports.csv"])
def test_a_workbook_holds_what_openpyxl_reads(sender: Sender, name: str) -> None:
    read = pandas.read_json if name.endswith("json") else pandas.read_csv
    frame = read(VEGA / name)
    if "date" in frame:
        frame["date"] = pandas.to_datetime(frame["date"])
    rows = [
        [None if pandas.isna(value) else value for value in row] for row in frame.astype(object).to_numpy().tolist()
    ]
    content = written([list(frame), *rows])
    sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True).active
    expected = [list(row) for row in sheet.iter_rows(values_only=True)]
    operation = sender.imported(content, "data.xlsx")
    kinds = list(types_of(operation).values())
    for row, one in zip(rows_of(operation), expected[1:], strict=True):
        # A text that is a date all over its column is one; Excel's own dates are moments to openpyxl.
        values = [str(value) if kind == "date" else value for value, kind in zip(row.values(), kinds, strict=True)]
        assert values == [str(value)[:10] if kind == "date" else value for value, kind in zip(one, kinds, strict=True)]
    assert list(types_of(operation)) == expected[0]
    assert rejects_of(operation) == []


@pytest.mark.parametrize("path", sorted(PYARROW.glob("*.parquet")), ids=lambda path: path.name)
def test_a_parquet_file_of_another_age_holds_what_pandas_reads(sender: Sender, path: Path) -> None:
    operation = sender.imported(path.read_bytes(), path.name)
    expected = pandas.read_parquet(path).reset_index()
    rows = rows_of(operation)
    assert len(rows) == len(expected)
    for column, kind in types_of(operation).items():
        if column not in expected:
            assert column.startswith("__index")
            continue
        found = [row[column] for row in rows]
        if kind in ("integer", "number"):
            values = expected[column].astype(float).tolist()
            assert all(math.isclose(a, b, abs_tol=0) for a, b in zip(found, values, strict=True))
        elif kind == "string":
            assert found == expected[column].astype(object).tolist()
        else:
            moments = pandas.to_datetime(expected[column], utc=True).dt.tz_localize(None)
            assert found == [moment.to_pydatetime() for moment in moments]


def test_a_table_with_spaces_between_is_read_where_the_request_says_so(sender: Sender) -> None:
    path = SKLEARN / "diabetes_data_raw.csv.gz"
    operation = sender.imported(path.read_bytes(), path.name, delimiter=" ")
    assert stored(operation) == [line.split(" ") for line in content_of(path).decode().splitlines()[1:]]
