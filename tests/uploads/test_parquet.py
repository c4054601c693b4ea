"""Parquet: every type becomes one of a dataset's, nested values become JSON text, and few bytes stay few."""

from __future__ import annotations

import datetime
import io
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.uploads.sending import Sender, rejects_of, rows_of, types_of
from uploads.models import Dataset

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
MOMENT = datetime.datetime(2024, 2, 29, 13, 45, 30, 250_001)
BERLIN = pa.timestamp("us", "Europe/Berlin")


def written(table: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


TYPES: list[tuple[Any, Any, str, Any]] = [
    (pa.int8(), -5, "integer", -5),
    (pa.uint32(), 2**32 - 1, "integer", 2**32 - 1),
    (pa.uint64(), 7, "integer", 7),
    (pa.uint64(), 2**64 - 1, "string", str(2**64 - 1)),
    (pa.float32(), 1.5, "number", 1.5),
    (pa.float64(), 0.1, "number", 0.1),
    (pa.bool_(), True, "boolean", True),
    (pa.string(), "7", "string", "7"),
    (pa.string(), "2024-02-29", "string", "2024-02-29"),
    (pa.large_string(), "é", "string", "é"),
    (pa.binary(), b"text", "string", "text"),
    (pa.binary(3), b"\x00\xff\x10", "string", "00ff10"),
    (pa.dictionary(pa.int32(), pa.string()), "word", "string", "word"),
    (pa.date32(), MOMENT.date(), "date", MOMENT.date()),
    (pa.timestamp("s"), MOMENT.replace(microsecond=0), "datetime", MOMENT.replace(microsecond=0)),
    (pa.timestamp("us"), MOMENT, "datetime", MOMENT),
    (pa.timestamp("ns"), MOMENT, "datetime", MOMENT),
    (BERLIN, MOMENT.replace(tzinfo=datetime.UTC), "datetime", MOMENT),
    (pa.time64("us"), datetime.time(9, 5), "string", "09:05:00.000000"),
    (pa.decimal128(10, 2), Decimal("12.30"), "number", 12.3),
    (pa.decimal128(30, 2), Decimal("1234567890123456789.30"), "string", "1234567890123456789.30"),
    (pa.list_(pa.int64()), [1, None], "string", "[1,null]"),
    (
        pa.struct({"a": pa.date32(), "b": pa.float64()}),
        {"a": MOMENT.date(), "b": 1.0},
        "string",
        '{"a":"2024-02-29","b":1.0}',
    ),
    (pa.map_(pa.string(), pa.int64()), [("k", 1)], "string", '[["k",1]]'),
    (pa.null(), None, "string", None),
]


@pytest.mark.parametrize(("kind", "value", "word", "expected"), TYPES, ids=lambda part: str(part)[:30])
def test_a_type_becomes_one_of_a_datasets_types(
    sender: Sender, kind: Any, value: Any, word: str, expected: Any
) -> None:
    table = pa.table({"x": pa.array([value, None], kind), "row": [1, 2]})
    operation = sender.imported(written(table), "data.parquet")
    assert types_of(operation) == {"x": word, "row": "integer"}
    assert rows_of(operation) == [{"x": expected, "row": 1}, {"x": None, "row": 2}]


def test_row_groups_and_batches_of_any_size_give_the_same_rows(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"n": range(1000), "text": [f"text {n % 7}" for n in range(1000)]})
    content = written(table, row_group_size=300)
    monkeypatch.setattr("uploads.sources.parquet.BATCH_ROWS", 128)
    monkeypatch.setattr("uploads.sources.parquet.BATCH_BYTES", 500)
    operation = sender.imported(content, "data.parquet")
    assert rows_of(operation) == table.to_pylist()


def test_bytes_that_are_no_text_make_their_row_a_reject(sender: Sender) -> None:
    table = pa.table({"n": [1, 2, 3], "b": pa.array([b"ok", b"\xff\xfe", None])})
    operation = sender.imported(written(table), "data.parquet")
    assert rows_of(operation) == [{"n": 1, "b": "ok"}, {"n": 3, "b": None}]
    assert rejects_of(operation) == [(2, "invalid_encoding", "Row 2, column b: the bytes are not valid in utf-8.")]
    assert operation.rejects.get().raw == '{"n":2,"b":null}'


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (pa.date32(), [-719_162, 2_932_896], [-719_163, 2_932_897, -(2**31), 2**31 - 1]),
        (pa.date64(), [-719_162 * 86_400_000], [2_932_897 * 86_400_000]),
        (pa.timestamp("s"), [-719_162 * 86_400, 2_932_897 * 86_400 - 1], [2_932_897 * 86_400, 10**14, -(10**14)]),
        (pa.timestamp("ms"), [0], [2**63 - 1]),
        (pa.timestamp("us"), [0], [10**18]),
        (BERLIN, [0], [10**18]),
    ],
    ids=str,
)
def test_a_moment_beyond_the_years_that_there_are_makes_its_row_a_reject(
    sender: Sender, kind: Any, good: list[int], bad: list[int]
) -> None:
    width = pa.int32() if kind == pa.date32() else pa.int64()
    moments = pa.array([*good, None, *bad], width).cast(kind)
    operation = sender.imported(written(pa.table({"at": moments, "n": list(range(len(moments)))})), "data.parquet")
    assert [row["n"] for row in rows_of(operation)] == list(range(len(good) + 1))
    assert None not in [row["at"] for row in rows_of(operation)][: len(good)]
    first = len(good) + 2
    assert rejects_of(operation) == [
        (number, "type_error", f"Row {number}, column at: a date or time lies beyond the years 1 to 9999.")
        for number in range(first, first + len(bad))
    ]


def test_a_moment_beyond_the_years_within_a_nested_value_makes_its_row_a_reject(sender: Sender) -> None:
    far = pa.array([0, 10**7], pa.int32()).cast(pa.date32())
    table = pa.table({"a": pa.StructArray.from_arrays([far], ["day"])})
    operation = sender.imported(written(table), "data.parquet")
    assert rows_of(operation) == [{"a": '{"day":"1970-01-01"}'}]
    assert [code for _, code, _ in rejects_of(operation)] == ["type_error"]


def test_a_nul_in_a_value_that_does_not_fit_is_shown_as_something_else(sender: Sender) -> None:
    table = pa.table({"a": ["x\0y", "1"]})
    operation = sender.imported(written(table), "data.parquet", types='{"a": "integer"}')
    assert rejects_of(operation) == [(1, "type_error", "Row 1, column a: 'x\ufffdy' is not an integer.")]


def test_declared_types_make_what_does_not_fit_a_reject(sender: Sender) -> None:
    table = pa.table({"q": ["3", "N/A", "4"], "n": [1, 2, 3]})
    operation = sender.imported(written(table), "data.parquet", types='{"q": "integer", "n": "number"}')
    assert types_of(operation) == {"q": "integer", "n": "number"}
    assert rows_of(operation) == [{"q": 3, "n": 1.0}, {"q": 4, "n": 3.0}]
    assert rejects_of(operation) == [(2, "type_error", "Row 2, column q: 'N/A' is not an integer.")]


def test_doubled_and_empty_names_are_filled_and_told(sender: Sender) -> None:
    table = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", ""])
    operation = sender.imported(written(table), "data.parquet")
    assert rows_of(operation) == [{"a": 1, "a_2": 2, "column_3": 3}]
    assert len(operation.result["warnings"]) == 2


def test_times_that_are_finer_than_a_microsecond_are_warned_of(sender: Sender) -> None:
    table = pa.table({"at": pa.array([1_709_214_330_250_001_999], pa.timestamp("ns"))})
    operation = sender.imported(written(table), "data.parquet")
    assert rows_of(operation) == [{"at": datetime.datetime(2024, 2, 29, 13, 45, 30, 250_001)}]
    assert operation.result["warnings"] == ["The times of column at are kept to the microsecond."]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"PAR1" + bytes(100), "bad_parquet"),
        (written(pa.table({"a": [1]}))[:-9], "bad_parquet"),
        (b"PAR1" + b"\xff" * 50 + (46).to_bytes(4, "little") + b"PAR1", "bad_parquet"),
        (written(pa.table({})), "header_invalid"),
        (written(pa.table({f"c{n}": [1] for n in range(6_001)})), "too_many_columns"),
    ],
    ids=["no footer", "cut", "nonsense", "no columns", "too many"],
)
def test_a_file_that_is_none_is_refused_at_once(sender: Sender, content: bytes, code: str) -> None:
    assert sender.refused(content, "data.parquet")[:2] == (422, code)


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(sender: Sender, settings: Any) -> None:
    settings.UPLOADS = {**settings.UPLOADS, "MAX_UNPACKED_BYTES": 1000}
    content = written(pa.table({"n": range(10_000)}))
    assert sender.refused(content, "data.parquet")[1] == "unsafe_parquet"


def test_a_column_that_unpacks_to_very_much_is_refused(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.parquet._RATIO_FREE_BYTES", 1000)
    content = written(pa.table({"n": ["x" * 2**22]}), compression="zstd", use_dictionary=False)
    detail = sender.refused(content, "data.parquet")[2]
    assert detail.startswith("The file is refused: column n of row group 0 unpacks to 4,1")


def test_a_damaged_page_fails_the_import(sender: Sender) -> None:
    content = bytearray(written(pa.table({"n": [f"text {n}" for n in range(5000)]}), compression="zstd"))
    content[len(content) // 3] ^= 0xFF
    operation = sender.ended(bytes(content), "data.parquet")
    assert (operation.state, operation.error["code"]) == ("failed", "bad_parquet")


def test_texts_below_lists_come_in_smaller_batches(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.sources.parquet._NESTED_ROWS", 10)
    table = pa.table({"a.b": ["x"] * 25, "tags": [["one", "two"]] * 25})
    operation = sender.imported(written(table), "data.parquet")
    assert Dataset.objects.get(operation_id=operation.pk).part_rows == [10, 10, 5]
    assert rows_of(operation) == [{"a.b": "x", "tags": '["one","two"]'}] * 25


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_small_file_that_stands_for_gigabytes_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """One text of a megabyte, named by each of 2,000 rows: 2 GB by `read_table`."""
    path = tmp_path / "f.parquet"
    indices = pa.array([0] * 2000, pa.int32())
    text = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 2**20]))
    pq.write_table(pa.table({"text": text}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    script = (
        "import re, sys; from pathlib import Path; import django; django.setup();"
        "from uploads.parquet import inspect; from uploads.sources.parquet import ParquetSource;"
        "path = Path(sys.argv[1])\n"
        "rows = sum(batch.rows_read for batch in ParquetSource(path, inspect(path), {}).batches(None))\n"
        "print(rows, re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, peak = map(int, done.stdout.split())
    assert (rows, peak < 300 * 1024) == (2000, True)
