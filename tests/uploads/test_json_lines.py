"""JSON Lines: a number is a number and a text a text, each bad line is named, and columns may come late."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from tests.uploads.sending import Sender, rejects_of, rows_of, types_of
from uploads import json_lines
from uploads.archives import open_unpacked

pytestmark = pytest.mark.django_db(transaction=True)


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values)


def test_values_keep_the_types_that_json_gives_them(sender: Sender) -> None:
    operation = sender.imported(
        lines(
            {"n": 7, "code": "007", "price": 1.5, "ok": True, "day": "2024-02-29", "at": "2024-02-29T10:00:00Z"},
            {"n": -1, "code": "008", "price": 2, "ok": False, "day": None, "at": "2024-03-01T00:00:00Z"},
        ),
        "data.jsonl",
    )
    assert types_of(operation) == {
        "n": "integer",
        "code": "string",
        "price": "number",
        "ok": "boolean",
        "day": "date",
        "at": "datetime",
    }
    first, second = rows_of(operation)
    assert (first["n"], first["code"], first["ok"], second["price"]) == (7, "007", True, 2.0)
    assert (first["day"], first["at"]) == (datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 10))


@pytest.mark.parametrize("batch", [1, 40, 2**20])
def test_the_text_7_and_the_number_7_are_not_confused_wherever_the_batches_end(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("uploads.sources.json_lines.BLOCK_BYTES", batch)
    content = lines(*({"mixed": value, "texts": "7", "sizes": size} for value, size in ((7, 1), ("7", 2.5), (True, 3))))
    operation = sender.imported(content, "data.jsonl")
    assert types_of(operation) == {"mixed": "string", "texts": "string", "sizes": "number"}
    assert [tuple(row.values()) for row in rows_of(operation)] == [("7", "7", 1.0), ("7", "7", 2.5), ("true", "7", 3.0)]


@pytest.mark.parametrize("batch", [1, 2**20])
def test_columns_are_the_union_in_the_order_in_which_they_come(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("uploads.sources.json_lines.BLOCK_BYTES", batch)
    monkeypatch.setattr("uploads.json_lines.HEAD_BYTES", 30)
    content = lines({"b": 1}, {"a": 2}, {}, {"late": "x", "b": 3}, {"at last": [1, {"two": None}]})
    operation = sender.imported(content, "data.jsonl")
    assert list(types_of(operation)) == ["b", "a", "late", "at last"]
    assert [tuple(row.values()) for row in rows_of(operation)] == [
        (1, None, None, None),
        (None, 2, None, None),
        (None, None, None, None),
        (3, None, "x", None),
        (None, None, None, '[1,{"two":null}]'),
    ]


def test_each_bad_line_is_a_reject_with_its_line_and_offset(sender: Sender) -> None:
    good = b'{"a": 1}\n'
    bad = [
        (b'{"a": 1,}', "json_syntax"),
        (b"[1, 2]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{'a': 1}", "json_syntax"),
        (b'{"a": NaN}', "json_syntax"),
        (b'{"a": "\xff"}', "invalid_encoding"),
        (b'{"a": "x\\u0000y"}', "nul_byte"),
        (b'{"a": 1} {"a": 2}', "json_syntax"),
        (b'{"a": "' + b"x" * 2**20 + b'"}', "field_too_long"),
    ]
    content = good + b"\n".join(line for line, _ in bad) + b"\n\n" + good
    operation = sender.imported(content, "data.jsonl")
    assert [(line, code) for line, code, _ in rejects_of(operation)] == [
        (number, code) for number, (_, code) in enumerate(bad, start=2)
    ]
    for (line, _), reject in zip(bad, operation.rejects.order_by("position"), strict=True):
        assert content[reject.offset :].startswith(line)
        assert reject.raw == line[:1024].decode("utf-8", "replace")
    assert len(rows_of(operation)) == 2


def test_messages_say_where_and_what(sender: Sender) -> None:
    content = b'{"a": 1}\n[]\n{"a": tru}\n{"a": "\xe9"}\n{"a": "\\u0000"}\n'
    assert [message for *_, message in rejects_of(sender.imported(content, "data.jsonl"))] == [
        "Line 2: expected an object, found an array.",
        "Line 3: no valid JSON at character 7: invalid literal, expected 'true'.",
        "Line 4: byte 0xE9 is not valid in utf-8.",
        "Line 5, column a: the value contains a NUL.",
    ]


def test_declared_types_make_what_does_not_fit_a_reject(sender: Sender) -> None:
    content = lines({"n": 1, "s": 5}, {"n": "2"}, {"n": "N/A"}, {"n": 1.5})
    operation = sender.imported(content, "data.jsonl", types='{"n": "integer", "s": "string"}')
    assert [tuple(row.values()) for row in rows_of(operation)] == [(1, "5"), (2, None)]
    assert rejects_of(operation) == [
        (3, "type_error", "Line 3, column n: 'N/A' is not an integer."),
        (4, "type_error", "Line 4, column n: '1.5' is not an integer."),
    ]
    assert [reject.offset for reject in operation.rejects.order_by("position")] == [28, 41]


def test_numbers_beyond_64_bits_and_beyond_a_float_lose_nothing_that_json_keeps(sender: Sender) -> None:
    content = lines({"big": 2**63, "odd": 2**53 + 1}, {"big": 1, "odd": 0.5})
    operation = sender.imported(content, "data.jsonl")
    assert types_of(operation) == {"big": "string", "odd": "string"}
    assert rows_of(operation)[0] == {"big": str(2**63), "odd": str(2**53 + 1)}


def test_a_mark_crlf_and_a_last_line_without_an_end_are_read(sender: Sender) -> None:
    assert sender.rows(b'\xef\xbb\xbf{"a":1}\r\n{"a":2}', "data.ndjson") == [{"a": 1}, {"a": 2}]


def test_a_doubled_and_an_empty_key_are_warned_of(sender: Sender) -> None:
    operation = sender.imported(b'{"a":1,"a":2,"":3}\n', "data.jsonl")
    assert rows_of(operation) == [{"a": 2, "": 3}]
    assert operation.result["warnings"] == [
        "A key is empty; so is the name of its column.",
        "Line 1: the key 'a' appears twice in one object; the last value counts.",
    ]


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"\n\n", "a.jsonl", (415, "unsupported_format")),
        (b"{}\n{}\n", "a.jsonl", (422, "header_invalid")),
        (b'[{"a": 1}]', "a.json", (415, "unsupported_format")),
        (b'{\n "a": 1\n}\n', "a.json", (415, "unsupported_format")),
        ('{"a":1}\n'.encode("utf-16"), "a.jsonl", (415, "unsupported_format")),
        (json.dumps({f"k{n}": 1 for n in range(6_001)}).encode(), "a.jsonl", (422, "too_many_columns")),
    ],
)
def test_what_is_no_json_lines_is_refused_at_once(
    sender: Sender, content: bytes, name: str, expected: tuple[int, str]
) -> None:
    assert sender.refused(content, name)[:2] == expected


def test_a_key_that_comes_late_and_is_too_long_fails_the_import_by_name(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = lines({"a": 1}, {"k" * 300: 1})
    assert sender.refused(content, "data.jsonl")[:2] == (413, "header_too_long")
    monkeypatch.setattr("uploads.json_lines.HEAD_BYTES", 20)
    operation = sender.ended(content, "data.jsonl")
    assert (operation.state, operation.error["code"]) == ("failed", "header_too_long")
    assert operation.error["message"] == "A key has 300 characters; at most 255 are allowed."


@pytest.mark.parametrize("size", [1, 7, 64, 2**20])
def test_lines_do_not_depend_on_where_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE", 50)
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a":1}\n' + b"x" * 300 + b'\n\r\n{"a":2}\n{"a":"' + b"y" * 60 + b'"}\n{"a":3}')
    with open_unpacked(path, "") as file:
        found = [json_lines.parse(one) for one in json_lines.cut(file, 0, 1, block_bytes=size)]
    places = [one.place(index)[:2] for one in found for index in one.indices]
    assert places == [(1, 0), (4, 311), (6, 388)]
    assert [(one.line, one.offset, one.code) for block in found for one in block.rejects] == [
        (2, 8, "field_too_long"),
        (5, 319, "field_too_long"),
    ]
