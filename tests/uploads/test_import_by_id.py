"""A resumable upload is imported as the same file in a form is: in every format, and with every option."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from django.core.files.uploadedfile import SimpleUploadedFile

from lro.models import Operation
from lro.testing import run_due
from tests.uploads.posting import client_of, rows_of
from tests.uploads.tus_client import TusClient, row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

CSV = b"name;age\nAda;36\nBob;old\nEve;41;x\nMax;7\n"
LATIN = "größe;n\nä;1\n".encode("cp1252")
SCHEMA = {"fields": [{"name": "name"}, {"name": "age", "type": "integer", "constraints": {"maximum": 40}}]}
INTEGER = '{"age": "integer"}'


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.create_sheet("Second")
    for sheet in book.worksheets:
        for line in (("name", "age"), ("Ada", 36), (sheet.title, 7)):
            sheet.append(line)
    book.save(file := io.BytesIO())
    return file.getvalue()


def parquet() -> bytes:
    pq.write_table(pa.table({"name": ["Ada", "Max"], "age": ["36", "old"]}), sink := io.BytesIO())
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("people.csv", CSV, {"types": INTEGER, "name": "people", "delimiter": ";"}),
        ("people.csv", CSV, {"schema": json.dumps(SCHEMA)}),
        ("people.csv", CSV, {"types": INTEGER, "max_rejects": "1"}),
        ("people.csv", CSV, {"types": INTEGER, "max_rejects": "1", "on_limit": "stop_recording"}),
        ("people.csv", CSV, {"types": INTEGER, "max_rejects": "60%"}),
        ("people.csv", CSV * 50, {"types": INTEGER, "parallel": "3"}),
        ("latin.csv", LATIN, {"encoding": "cp1252"}),
        ("people.csv.gz", gzip.compress(CSV), {"types": INTEGER}),
        ("people.csv.zst", zstandard.compress(CSV), {"schema": json.dumps(SCHEMA), "max_rejects": "3"}),
        ("people.tsv", CSV.replace(b";", b"\t"), {"types": INTEGER}),
        ("people.jsonl", b'{"name": "Ada", "age": 36}\n{"name": "Bob", "age": "old"}\nx\n', {"types": INTEGER}),
        ("people.jsonl.gz", gzip.compress(b'{"name": "Ada", "age": 50}\n'), {"schema": json.dumps(SCHEMA)}),
        ("people.xlsx", workbook(), {"sheet": "Second", "schema": json.dumps(SCHEMA)}),
        ("people.parquet", parquet(), {"types": INTEGER, "max_rejects": "1"}),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else ",".join(value) if isinstance(value, dict) else value,
)
def test_it_is(alice: Any, name: str, content: bytes, options: dict[str, str]) -> None:
    form = {"file": SimpleUploadedFile(name, content), **options}
    posted = client_of(alice).post("/uploads/import", form)
    uploads = TusClient(alice)
    place = uploads.created(len(content), filename=name)
    uploads.patch(place, 0, content)
    as_json = {field: json.loads(text) if text.startswith("{") else text for field, text in options.items()}
    by_id = uploads.post("/uploads/import", {"upload": str(row(place).pk), **as_json}, "application/json")
    place = uploads.created(len(content), filename=name, **{"import": "true"}, **options)
    assert uploads.patch(place, 0, content).status_code == 204
    run_due()
    ids = [posted.json()["id"], by_id.json()["id"], row(place).operation_id]
    seen = [what_came(Operation.objects.get(pk=pk)) for pk in ids]
    assert seen[1:] == seen[:-1]


def what_came(operation: Operation) -> Any:
    """All that is told of an import, but for times and ids."""
    if operation.result is None:
        return operation.state, operation.error["code"], operation.error["message"]
    told = {key: value for key, value in operation.result.items() if key not in ("dataset", "seconds")}
    rejects = list(operation.rejects.values_list("position", "offset", "code", "message", "raw"))
    return told, rejects, rows_of(operation)
