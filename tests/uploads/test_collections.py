"""CSV that others collected to try readers on: the files and test cases of Papa Parse, and csv-spectrum.

Fetched by npm as the lock file names them. Where we read a case otherwise than Papa Parse, it is told below.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.socketio_client import NODE, install
from tests.uploads.reading import read_all
from tests.uploads.sending import Sender, rejects_of
from tests.uploads.test_real_data import stored
from uploads.layout import inspect
from uploads.refusals import Refusal

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

FOLDER = Path(__file__).parent / "collections"
PAPA = FOLDER / "node_modules" / "papaparse" / "tests"
SPECTRUM = FOLDER / "node_modules" / "csv-spectrum"

#: Papa Parse guesses here, and an import refuses: a quote in the first row is not closed properly, or two delimiters
#: fit as well. (In a later row such a quote is that row's reject.)
REFUSED = {
    "Whitespace at edges of unquoted field": "dialect_ambiguous",
    "Pipe delimiter is guessed correctly when mixed with comas": "dialect_ambiguous",
    "Quoted field has no closing quote": "header_invalid",
    "Quoted field has invalid trailing quote after delimiter with a valid closer": "header_invalid",
    "Quoted field has invalid trailing quote after delimiter": "header_invalid",
    "Quoted field has invalid trailing quote before delimiter": "header_invalid",
    "Quoted field has invalid trailing quote after new line": "header_invalid",
    "Quoted fields with spaces between closing quote and next delimiter": "header_invalid",
    "Quoted fields with spaces between closing quote and next new line": "header_invalid",
    "Quoted fields with spaces after closing quote": "header_invalid",
    "Quoted fields with spaces between closing quote and next delimiter and contains delimiter": "header_invalid",
    "Quoted fields with spaces between closing quote and newline and contains newline": "header_invalid",
    "Empty input string": "empty_file",
    "Bad delimiter (\\n)": "bad_delimiter",
}
#: A lone CR ends a line of ours in every file, also in one whose other lines end in LF.
OTHERWISE = {
    "Mixed slash n and slash r should choose first as precident": [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]
}


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    problem = install(FOLDER)
    assert not problem, problem


@cache
def cases() -> list[dict[str, Any]]:
    """Those that say nothing to the reader but, at most, the delimiter and the end of a line."""
    done = subprocess.run([NODE, "cases.mjs"], cwd=FOLDER, capture_output=True, text=True, check=True)
    return [
        case
        for case in json.loads(done.stdout)
        if set(case["config"]) <= {"delimiter", "newline"} and len(case["config"].get("delimiter", ",")) == 1
    ]


def test_the_cases_of_papa_parse_are_read_alike(tmp_path: Path) -> None:
    """Rows of the first row's width are rows, blank ones are none, and each other one is a reject."""
    path, compared, refused = tmp_path / "f.csv", 0, {}
    for case in cases():
        name = case["description"]
        path.write_bytes(case["input"].encode())
        try:
            layout = inspect(path, path.name, delimiter=case["config"].get("delimiter"), has_header=False)
        except Refusal as refusal:
            refused[name] = refusal.code
            continue
        rows, rejects = read_all(path, layout)
        expected = OTHERWISE.get(name) or [row for row in case["data"] if row != [""]]
        fitting = [row for row in expected if len(row) == len(layout.columns)]
        assert (name, rows, len(rejects)) == (name, fitting, len(expected) - len(fitting))
        compared += 1
    assert refused == REFUSED
    assert compared > 60


def read_by_csv(content: bytes) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]


@pytest.mark.parametrize("name", ["sample-header.csv", "sample.csv", "utf-8-bom-sample.csv", "verylong-sample.csv"])
def test_a_file_of_papa_parse_holds_what_csv_reads(sender: Sender, name: str) -> None:
    content = (PAPA / name).read_bytes()
    operation = sender.imported(content, name)
    first, *rows = read_by_csv(content)
    fitting = [row for row in rows if len(row) == len(first)]
    assert stored(operation) == fitting
    assert len(rejects_of(operation)) == len(rows) - len(fitting)


def test_the_file_with_bad_quotes_has_them_among_its_rejects(sender: Sender) -> None:
    content = (PAPA / "long-sample.csv").read_bytes()
    operation = sender.imported(content, "long-sample.csv")
    assert operation.result["rows"] + operation.result["rejected"] == len(read_by_csv(content)) - 1


@pytest.mark.parametrize(
    "name",
    [
        "comma_in_quotes",
        "empty",
        "empty_crlf",
        "escaped_quotes",
        "json",
        "newlines",
        "newlines_crlf",
        "quotes_and_newlines",
        "simple",
        "simple_crlf",
        "utf8",
    ],
)
def test_a_file_of_csv_spectrum_holds_what_its_answer_says(sender: Sender, name: str) -> None:
    content = (SPECTRUM / "csvs" / f"{name}.csv").read_bytes()
    answer = json.loads((SPECTRUM / "json" / f"{name}.json").read_bytes())
    operation = sender.imported(content, f"{name}.csv")
    names = [column["name"] for column in operation.result["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in stored(operation)]
    assert rows == answer


def test_the_one_whose_answer_is_of_other_data_holds_what_csv_reads(sender: Sender) -> None:
    content = (SPECTRUM / "csvs" / "location_coordinates.csv").read_bytes()
    assert stored(sender.imported(content, "a.csv")) == read_by_csv(content)[1:]
