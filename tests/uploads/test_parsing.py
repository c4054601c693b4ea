# ruff: noqa: E501 - one case a line reads better than a wrapped one
"""Each fault of a row: its code, its place, its message; and the types of columns."""

import datetime
import json
import random
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.uploads.generator import column_types, write_dirty_csv
from tests.uploads.reading import layout_of, rows_of
from uploads.blocks import Block, Cursor
from uploads.column_types import TypeTally, cast
from uploads.layout import Layout
from uploads.parsing import ParsedBlock, RowReject, parse
from uploads.parts import write_part
from uploads.table_schema import Schema

LAYOUT = Layout("csv", "utf-8", ",", '"', ("id", "name", "note"), data_offset=100, data_line=1000)


def parse_bytes(data: bytes, layout: Layout = LAYOUT, types: dict[str, str] | None = None) -> ParsedBlock:
    start = Cursor(layout.data_offset, layout.data_line)
    return parse(Block(start, Cursor(start.offset + len(data), 0), data), layout, Schema.of_types(types or {}))


def only_reject(data: bytes, layout: Layout = LAYOUT) -> RowReject:
    """The one reject of a bad row between two good ones."""
    width = len(layout.columns)
    good = (",".join("1" * width) + "\n").encode()
    parsed = parse_bytes(good + data + good, layout)
    assert parsed.table.num_rows == 2
    (reject,) = parsed.rejects
    assert (reject.line, reject.offset) == (layout.data_line + 1, layout.data_offset + len(good))
    return reject


@pytest.mark.parametrize(
    ("row", "column", "code", "message", "raw"),
    [
        (b"1,2\r\n", "", "ragged_short", "Line 1001: expected 3 fields, found 2.", "1,2"),
        (b'1,"a,b",3,4\n', "", "ragged_long", "Line 1001: expected 3 fields, found 4.", '1,"a,b",3,4'),
        (b"1,Zo\xeb,3\n", "name", "invalid_encoding", "Line 1001, column name: byte 0xEB is not valid in utf-8.", "1,Zo\ufffd,3"),
        (b"1,2,a\0b\n", "note", "nul_byte", "Line 1001, column note: the value contains a NUL byte.", "1,2,a\ufffdb"),
        (b'1,"2,3\n', "name", "unterminated_quote", "Line 1001, column name: a quote is opened here but not closed properly.", '1,"2,3'),
        (b'1,2,"a" b\n', "note", "unterminated_quote", "Line 1001, column note: a quote is opened here but not closed properly.", '1,2,"a" b'),
        (b"1,2,3,4,\xff\n", "", "invalid_encoding", "Line 1001: byte 0xFF is not valid in utf-8.", "1,2,3,4,\ufffd"),
    ],
)  # fmt: skip
def test_rejects(row: bytes, column: str, code: str, message: str, raw: str) -> None:
    reject = only_reject(row)
    assert (reject.column, reject.code, reject.message, reject.raw) == (column, code, message, raw)


def test_raw_is_cut_at_a_character_border() -> None:
    raw = only_reject(b"1," + "é".encode() * 900 + b"\n").raw
    assert raw == "1," + "é" * 511


def test_one_expected_field_is_singular() -> None:
    layout = layout_of(1)
    assert parse_bytes(b"a,b\n", layout).rejects[0].message == "Line 1: expected 1 field, found 2."


def test_single_byte_encodings_reject_undefined_bytes_only() -> None:
    layout = layout_of(2, encoding="cp1252")
    parsed = parse_bytes(b"\xe9,1\n\x81,2\n\x80,3\n", layout)
    assert rows_of(parsed.table) == [["é", "1"], ["€", "3"]]
    assert [(r.line, r.offset, r.message) for r in parsed.rejects] == [
        (2, 4, "Line 2, column c0: byte 0x81 is not valid in cp1252.")
    ]


def test_utf16_offsets_are_bytes_of_the_file() -> None:
    layout = layout_of(2, encoding="utf-16-le")
    data = "é,1\n".encode("utf-16-le") + b"\x00\xd8,\x00x\x00\n\x00" + "a\nb,2\n".encode("utf-16-le") + b"z"
    parsed = parse_bytes(data, layout)
    assert [(r.line, r.offset, r.code) for r in parsed.rejects] == [
        (2, 8, "invalid_encoding"),
        (3, 16, "ragged_short"),
        (5, 28, "invalid_encoding"),
    ]
    assert rows_of(parsed.table) == [["é", "1"], ["b", "2"]]


def test_empty_values_are_null_quoted_or_not_and_blank_lines_no_rows() -> None:
    parsed = parse_bytes(b'1,,""\n\n\r\n2,x,\n')
    assert parsed.table.to_pylist() == [
        {"id": "1", "name": None, "note": None},
        {"id": "2", "name": "x", "note": None},
    ]
    assert parsed.rows_read == 2
    assert parse_bytes(b'a\n\n""\nb\n', layout_of(1)).table.to_pydict() == {"c0": ["a", None, "b"]}


def test_a_block_of_rejects_only_has_an_empty_table_of_the_same_schema() -> None:
    parsed = parse_bytes(b"1\n2\n")
    assert (parsed.table.num_rows, parsed.table.column_names, len(parsed.rejects)) == (0, ["id", "name", "note"], 2)
    typed = parse_bytes(b"1\n", types={"id": "integer"})
    assert typed.table.schema.field("id").type == pa.int64()


def test_declared_types_reject_the_first_value_that_does_not_fit() -> None:
    layout = Layout("csv", "utf-8", ",", '"', ("i", "n", "b", "d", "t"), 0, 1)
    types = dict(i="integer", n="number", b="boolean", d="date", t="datetime")
    good = "7,1.5,true,2024-02-29,2024-02-29T10:00:00Z\n007,-2e3,0,,2024-02-29 10:00\n"
    bad = (
        "N/A,x,true,,\n0x1F,1,true,,\n9223372036854775808,1,1,,\n1,inf,1,,\n1,1e999,1,,\n"
        "1,1,yes,,\n1,1,1,2023-02-29,\n1,1,1,2024-2-1,\n1,1,1,,yesterday\n1,1\n"
    )
    parsed = parse_bytes((good + bad).encode(), layout, types)
    first = datetime.datetime(2024, 2, 29, 10)
    assert parsed.table.to_pylist() == [
        dict(i=7, n=1.5, b=True, d=datetime.date(2024, 2, 29), t=first),
        dict(i=7, n=-2000.0, b=False, d=None, t=first),
    ]
    assert [reject.message for reject in parsed.rejects] == [
        "Line 3, column i: 'N/A' is not an integer.",
        "Line 4, column i: '0x1F' is not an integer.",
        "Line 5, column i: '9223372036854775808' is not an integer.",
        "Line 6, column n: 'inf' is not a number.",
        "Line 7, column n: '1e999' is not a number.",
        "Line 8, column b: 'yes' is not a boolean.",
        "Line 9, column d: '2023-02-29' is not a date.",
        "Line 10, column d: '2024-2-1' is not a date.",
        "Line 11, column t: 'yesterday' is not a datetime.",
        "Line 12: expected 5 fields, found 2.",
    ]
    assert parsed.rows_read == 12


def test_the_generators_type_errors_are_found(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    truth = write_dirty_csv(path, 3000, bad_share=0.1, seed=9, type_errors=True)
    head, _, data = path.read_bytes().partition(b"\n")
    layout = Layout("csv", "utf-8", ",", '"', tuple(head.decode().split(",")), len(head) + 1, 2)
    parsed = parse_bytes(data, layout, column_types(12))
    assert [(reject.line, reject.code) for reject in parsed.rejects] == truth.rejects
    assert parsed.table.num_rows == truth.good_rows
    assert truth.to_json()["codes"]["type_error"] > 10


INFERENCE = [
    (["1", "-5", "0", None], "integer"),
    (["1", "2.5", "-1e3"], "number"),
    (["007", "8"], "string"),
    (["007.5", "8"], "string"),
    (["+5", "8"], "string"),
    (["9223372036854775807"], "integer"),
    (["9223372036854775808"], "string"),
    (["9007199254740993", "0.5"], "number"),
    (["90071992547409931", "0.5"], "string"),
    (["0x1F"], "string"),
    (["nan", "1"], "string"),
    (["true", "FALSE", None], "boolean"),
    (["1", "true"], "string"),
    (["2024-02-29"], "date"),
    (["2024-02-29", "2024-02-29T10:00:00"], "datetime"),
    (["2023-02-29"], "string"),
    (["2024-02-29T10:00:00Z", "2024-02-29 10:00:00+02:00"], "datetime"),
    (["2024-02-29T10:00:00Z", "2024-02-29 10:00:00"], "string"),
    ([None, None], "string"),
    (["-0", "1"], "number"),
]


@pytest.mark.parametrize(("values", "kind"), INFERENCE)
def test_inference_however_the_values_are_split(values: list[str | None], kind: str) -> None:
    table = pa.table({"x": pa.array(values, pa.string())})
    whole, merged = TypeTally(["x"]), TypeTally(["x"])
    whole.add(table)
    for row in reversed(range(len(values))):
        part = TypeTally(["x"])
        part.add(table.slice(row, 1))
        merged.merge(TypeTally.from_json(json.loads(json.dumps(part.to_json()))))
    assert whole.result() == merged.result() == {"x": kind}
    assert whole.nulls == merged.nulls == {"x": values.count(None)}


def test_the_tally_takes_typed_columns_beside_strings() -> None:
    tally = TypeTally(["i", "s"])
    tally.add(pa.table({"i": [1, None], "s": ["2", "3"]}))
    assert tally.nulls == {"i": 1, "s": 0}
    assert tally.result()["s"] == "integer"


def test_the_tally_does_not_depend_on_order() -> None:
    values = [value for group, _ in INFERENCE for value in group]
    draw = random.Random(1)
    for _ in range(200):
        chosen = draw.sample(values, 2)
        tallies = []
        for order in (chosen, chosen[::-1]):
            tally = TypeTally(["x"])
            for value in order:
                tally.add(pa.table({"x": pa.array([value], pa.string())}))
            together = TypeTally(["x"])
            together.add(pa.table({"x": pa.array(order, pa.string())}))
            tallies += [tally.result(), together.result()]
        assert all(result == tallies[0] for result in tallies), chosen


@pytest.mark.parametrize(("values", "kind"), INFERENCE)
def test_what_is_inferred_can_be_cast(values: list[str | None], kind: str) -> None:
    table = pa.table({"x": pa.array(values, pa.string())})
    typed = cast(table, {"x": kind})
    assert typed.column("x").null_count == values.count(None)
    lazy = cast(pl.from_arrow(table).lazy(), {"x": kind}).collect()
    assert lazy["x"].to_list() == typed.column("x").to_pylist()


def test_cast_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="Column x, row 1: not an integer"):
        cast(pa.table({"x": ["1", "b"]}), {"x": "integer"})


def test_a_part_is_whole_repeatable_and_leaves_nothing_else(tmp_path: Path) -> None:
    table = pa.table({"x": ["a", None, "é"]})
    path = tmp_path / "0.parquet"
    path.write_bytes(b"what a killed attempt left")
    first, second = write_part(table, path), write_part(table, path)
    assert first == second
    assert first[0] == path.stat().st_size
    assert pq.read_table(path).to_pydict() == {"x": ["a", None, "é"]}
    assert [entry.name for entry in tmp_path.iterdir()] == ["0.parquet"]
    write_part(table.slice(0, 0), path)
    assert pq.read_table(path).num_rows == 0
