"""An import of any format that is killed after any checkpoint ends as one that is not."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from lro.models import Operation
from lro.testing import faults, running
from tests.uploads.sending import Sender, rejects_of, rows_of, types_of
from tests.uploads.workbooks import written

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 120
NUMBERS = [(n, f"text {n % 5}", None if n % 7 else n / 4) for n in range(COUNT)]
BAD = (30, 31, 77)
_ERROR = "N/A"


def csv() -> bytes:
    lines = (f"{n},{text},{'' if price is None else price}{',x' * (n in BAD)}\n" for n, text, price in NUMBERS)
    return b"n,text,price\n" + "".join(lines).encode()


def json_lines() -> bytes:
    lines = (json.dumps({"n": n, "text": text, "price": price}) + "," * (n in BAD) for n, text, price in NUMBERS)
    return "\n".join(lines).encode()


def workbook() -> bytes:
    return written([("n", "text", "price"), *((n, text, "#N/A" if n in BAD else price) for n, text, price in NUMBERS)])


def parquet() -> bytes:
    names = ("n", "text", "price")
    columns = dict(zip(names, map(list, zip(*NUMBERS, strict=True)), strict=True))
    columns["text"] = [b"\xff" if n in BAD else text.encode() for n, text, _ in NUMBERS]
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=50)
    return file.getvalue()


FILES = {
    "data.csv": csv(),
    "data.csv.gz": gzip.compress(csv()[:500]) + gzip.compress(csv()[500:]),
    "data.csv.zst": zstandard.compress(csv()[:500]) + zstandard.compress(csv()[500:]),
    "data.jsonl": json_lines(),
    "data.jsonl.gz": gzip.compress(json_lines()),
    "data.xlsx": workbook(),
    "data.parquet": parquet(),
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.sources.delimited.BLOCK_BYTES", 400)
    monkeypatch.setattr("uploads.sources.json_lines.BLOCK_BYTES", 1000)
    monkeypatch.setattr("uploads.sources.workbook.BATCH_ROWS", 25)
    monkeypatch.setattr("uploads.sources.parquet.BATCH_ROWS", 25)


def end(operation: Operation) -> Any:
    """What an import came to: rows, types, rejects with their places, and the digests of its parts."""
    assert operation.state == "succeeded", operation.error
    rejects = list(operation.rejects.order_by("position").values_list("position", "offset", "code", "raw"))
    return rows_of(operation), types_of(operation), rejects_of(operation), rejects


@pytest.mark.parametrize("name", FILES)
def test_it_ends_the_same_wherever_it_is_killed(sender: Sender, name: str) -> None:
    whole = end(sender.imported(FILES[name], name))
    assert [row["n"] for row in whole[0]] == [n for n in range(COUNT) if n not in BAD]
    assert [line for line, *_ in whole[2]] == [n + (1 if name[5] in "jp" else 2) for n in BAD]
    for checkpoint in (1, 2, 5):
        identifier = sender.submitted(FILES[name], name)
        with faults.crash_after(checkpoints=checkpoint, times=2):
            running.run_due()
        operation = Operation.objects.get(pk=identifier)
        assert operation.attempt == 3
        assert end(operation) == whole
