"""A Table Schema says what each column must be: what does not fit is a reject with its line and column."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest
from django.test import Client

from tests.uploads.posting import client_of, imported, problem, rows_of, send
from uploads import table_schema
from uploads.conformance import enforce
from uploads.refusals import Refusal
from uploads.table_schema import Schema


def schema(*fields: dict[str, Any], columns: Any = None, **more: Any) -> Schema:
    names = [field["name"] for field in fields]
    return table_schema.read({"fields": list(fields), **more}, columns or names)


def fit(values: list[str | None], **field: Any) -> tuple[list[Any], list[tuple[int, str, str]]]:
    """What is kept of a column of that field, and what is wrong with the rest."""
    made = Schema.from_json(json.loads(json.dumps(schema({"name": "x", **field}).to_json())))
    table, misfits = enforce(pa.table({"x": pa.array(values, pa.string())}), made)
    return table["x"].to_pylist(), [(misfit.row, misfit.code, misfit.problem) for misfit in misfits]


def constrained(values: list[str | None], kind: str = "string", **constraints: Any) -> tuple[list[Any], list[str]]:
    kept, misfits = fit(values, type=kind, constraints=constraints)
    assert {code for _, code, _ in misfits} <= {"constraint_error"}
    return kept, [problem for _, _, problem in misfits]


class TestAConstraint:
    def test_required(self) -> None:
        kept, problems = constrained(["a", None], required=True)
        assert (kept, problems) == (["a"], ["a value is required, but there is none."])
        assert constrained(["a", None], required=False) == (["a", None], [])

    def test_enum(self) -> None:
        assert constrained(["a", "b", None], enum=["a"]) == (["a", None], ["'b' is none of a."])
        assert constrained(["1", "3"], "integer", enum=[1, "2"]) == ([1], ["'3' is none of 1, 2."])
        assert constrained(["2024-01-01"], "date", enum=["2024-01-02"])[0] == []

    def test_minimum_and_maximum(self) -> None:
        kept, problems = constrained(["1", "2", "3", "4", None], "integer", minimum=2, maximum="3")
        assert (kept, problems) == ([2, 3, None], ["'1' is less than 2.", "'4' is more than 3."])
        day = constrained(["2024-01-01", "2024-02-01"], "date", minimum="2024-01-15")
        assert day == ([date(2024, 2, 1)], ["'2024-01-01' is less than 2024-01-15."])
        moment = constrained(["2024-01-01T12:00:00Z"], "datetime", maximum="2024-01-01T13:00:00+02:00")
        assert moment[1] == ["'2024-01-01T12:00:00Z' is more than 2024-01-01T13:00:00+02:00."]

    def test_exclusive_bounds(self) -> None:
        kept, problems = constrained(["1", "2", "3"], "number", exclusiveMinimum=1, exclusiveMaximum=3)
        assert (kept, problems) == ([2.0], ["'1' is not more than 1.0.", "'3' is not less than 3.0."])

    def test_lengths_in_characters(self) -> None:
        kept, problems = constrained(["é", "éé", "ééé", None], minLength=2, maxLength=2)
        assert kept == ["éé", None]
        assert problems == ["'é' has fewer than 2 characters.", "'ééé' has more than 2 characters."]

    def test_a_pattern_is_of_the_whole_value(self) -> None:
        assert constrained(["AB", "xAB", "A"], pattern="A|AB") == (["AB", "A"], ["'xAB' does not match A|AB."])

    def test_only_the_first_fault_of_a_row_is_told(self) -> None:
        made = schema({"name": "a", "type": "integer"}, {"name": "b", "constraints": {"required": True}})
        _, misfits = enforce(pa.table({"a": ["x", "1"], "b": pa.array([None, None], pa.string())}), made)
        assert [(m.row, m.column, m.code) for m in misfits] == [(0, "a", "type_error"), (1, "b", "constraint_error")]


class TestReading:
    def test_a_date_by_its_pattern_and_no_day_that_is_none(self) -> None:
        kept, misfits = fit(["31/01/2024", "31/02/2024", "x", None], type="date", format="%d/%m/%Y")
        assert kept == [date(2024, 1, 31), None]
        assert misfits[0] == (1, "type_error", "'31/02/2024' is not a date (%d/%m/%Y).")

    def test_a_datetime_by_its_pattern_in_utc(self) -> None:
        kept, _ = fit(["1.2.2024 10:00 +0200"], type="datetime", format="%d.%m.%Y %H:%M %z")
        assert kept == [datetime(2024, 2, 1, 8)]

    def test_numbers_as_they_are_written_on_the_continent(self) -> None:
        kept, misfits = fit(["1.234,5", "2,5", "1.2,3,4", "x"], type="number", decimalChar=",", groupChar=".")
        assert kept == [1234.5, 2.5]
        assert [row for row, _, _ in misfits] == [2, 3]
        assert fit(["1,5", "1.5"], type="number", decimalChar=",")[0] == [1.5]
        assert fit(["1 000"], type="integer", groupChar=" ")[0] == [1000]

    def test_words_of_yes_and_no(self) -> None:
        kept, misfits = fit(["ja", "nein", "yes", None], type="boolean", trueValues=["ja"], falseValues=["nein"])
        assert (kept, len(misfits)) == ([True, False, None], 1)

    @pytest.mark.parametrize(
        ("kind", "good", "bad"),
        [
            ("email", "a@b.org", "a@b"),
            ("uri", "https://a.org/x", "a.org"),
            ("uuid", "0198f3c2-0000-7000-8000-000000000001", "0198f3c2"),
        ],
    )
    def test_the_format_of_a_string(self, kind: str, good: str, bad: str) -> None:
        kept, misfits = fit([good, bad, None], format=kind)
        assert (kept, [code for _, code, _ in misfits]) == ([good, None], ["type_error"])

    def test_missing_values_are_null(self) -> None:
        made = schema({"name": "x", "type": "integer"}, missingValues=["", "N/A", "-"])
        table, misfits = enforce(pa.table({"x": ["1", "N/A", "-"], "y": ["-", "a", "b"]}), made)
        assert (table.to_pydict(), misfits) == ({"x": [1, None, None], "y": [None, "a", "b"]}, [])


NAME = {"name": "a"}
REFUSED = [
    ([], "bad_schema", "/schema", "an object with a list of 'fields'"),
    ({"fields": [{"type": "integer"}]}, "bad_schema", "/schema/fields/0", "no name"),
    ({"fields": [NAME, NAME]}, "bad_schema", "/schema/fields/1/name", "Two fields"),
    ({"fields": [{"name": "z"}]}, "unknown_column", "/schema/fields/0/name", "no column 'z'."),
    ({"fields": [{"name": "aa"}]}, "unknown_column", "/schema/fields/0/name", "no column 'aa'. Did you mean 'a'?"),
    ({"fields": [NAME]}, "schema_mismatch", "/schema/fields", "no field for the column 'b'"),
    ({"fields": [{"name": "b"}, NAME]}, "schema_mismatch", "/schema/fields/0", "set fieldsMatch to equal"),
    ({"fields": [NAME], "fieldsMatch": "superset"}, "unsupported_schema", "/schema/fieldsMatch", "one of"),
    ({"fields": [NAME], "primaryKey": "a"}, "unsupported_schema", "/schema/primaryKey", "validate the dataset"),
    ({"fields": [NAME], "foreignKeys": []}, "unsupported_schema", "/schema/foreignKeys", "validate the dataset"),
    ({"fields": [NAME], "missingValues": ["-"]}, "unsupported_schema", "/schema/missingValues", 'must hold ""'),
    ({"fields": [NAME], "missingValues": "-"}, "unsupported_schema", "/schema/missingValues", "a list"),
]
FIELDS = [
    ({"type": "geopoint"}, "unknown_type", "type", "no type"),
    ({"bareNumber": True}, "unsupported_schema", "bareNumber", "not supported"),
    ({"missingValues": [""]}, "unsupported_schema", "missingValues", "beside fields"),
    ({"format": "binary"}, "unsupported_schema", "format", "default, email, uri, uuid"),
    ({"type": "date", "format": "any"}, "unsupported_schema", "format", "a pattern such as"),
    ({"type": "date", "format": "%Q"}, "unsupported_schema", "format", "no pattern"),
    ({"type": "number", "decimalChar": "12"}, "bad_schema", "decimalChar", "one character"),
    ({"type": "number", "decimalChar": ",", "groupChar": ","}, "bad_schema", "groupChar", "are both ','"),
    ({"type": "number", "groupChar": "."}, "bad_schema", "groupChar", "are both '.'"),
    ({"type": "boolean", "trueValues": "ja"}, "bad_schema", "trueValues", "list of texts"),
    ({"constraints": []}, "bad_schema", "constraints", "an object"),
]
CONSTRAINTS = [
    ("string", {"unique": True}, "unsupported_schema", "unique", "validate the dataset"),
    ("string", {"jsonSchema": {}}, "unsupported_schema", "jsonSchema", "not supported"),
    ("string", {"minimum": 1}, "unsupported_schema", "minimum", "has no constraint"),
    ("integer", {"minLength": 1}, "unsupported_schema", "minLength", "has no constraint"),
    ("integer", {"pattern": "1"}, "unsupported_schema", "pattern", "has no constraint"),
    ("integer", {"minimum": "x"}, "bad_schema", "minimum", "'x' is not an integer"),
    ("integer", {"minimum": True}, "bad_schema", "minimum", "True is not an integer"),
    ("number", {"maximum": "nan"}, "bad_schema", "maximum", "'nan' is not a number"),
    ("date", {"maximum": "soon"}, "bad_schema", "maximum", "'soon' is not a date"),
    ("boolean", {"enum": ["maybe"]}, "bad_schema", "enum/0", "'maybe' is not a boolean"),
    ("string", {"enum": []}, "bad_schema", "enum", "a list of values"),
    ("string", {"enum": [1]}, "bad_schema", "enum/0", "1 is not a string"),
    ("string", {"required": "yes"}, "bad_schema", "required", "true or false"),
    ("string", {"minLength": -1}, "bad_schema", "minLength", "0 or more"),
    ("string", {"pattern": "("}, "bad_regex", "pattern", "missing )"),
    ("string", {"pattern": "(?=a)a"}, "bad_regex", "pattern", "(?="),
    ("integer", {"minimum": 5, "maximum": 1}, "bad_schema", "maximum", "minimum is 5, and maximum 1"),
    ("date", {"minimum": "2024-02-01", "maximum": "2024-01-01"}, "bad_schema", "maximum", "No value fits"),
    ("string", {"minLength": 3, "maxLength": 2}, "bad_schema", "maxLength", "minLength is 3, and maxLength 2"),
    ("string", {"pattern": 1}, "bad_regex", "pattern", "regular expression"),
]


def refused(descriptor: Any, columns: list[str]) -> tuple[str, str, str]:
    with pytest.raises(Refusal) as refusal:
        table_schema.read(descriptor, columns)
    return refusal.value.code, refusal.value.details[0]["pointer"], refusal.value.message


@pytest.mark.parametrize(("descriptor", "code", "pointer", "words"), REFUSED)
def test_a_bad_schema_is_refused_with_its_place(descriptor: Any, code: str, pointer: str, words: str) -> None:
    found = refused(descriptor, ["a", "b"])
    assert found[:2] == (code, pointer)
    assert words in found[2]


@pytest.mark.parametrize(("field", "code", "pointer", "words"), FIELDS)
def test_a_bad_field_is_refused_with_its_place(field: Any, code: str, pointer: str, words: str) -> None:
    found = refused({"fields": [NAME | field]}, ["a"])
    assert found[:2] == (code, f"/schema/fields/0/{pointer}")
    assert words in found[2]


@pytest.mark.parametrize(("kind", "constraints", "code", "pointer", "words"), CONSTRAINTS)
def test_a_bad_constraint_is_refused(kind: str, constraints: Any, code: str, pointer: str, words: str) -> None:
    found = refused({"fields": [NAME | {"type": kind, "constraints": constraints}]}, ["a"])
    assert found[:2] == (code, f"/schema/fields/0/constraints/{pointer}")
    assert words in found[2]


def test_fields_match_as_the_schema_says() -> None:
    assert list(schema({"name": "a"}, columns=["b", "a"], fieldsMatch="subset")) == ["a"]
    assert list(schema({"name": "a"}, {"name": "b"}, columns=["b", "a"], fieldsMatch=["equal"])) == ["a", "b"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("files", "checked")
class TestAnImport:
    @pytest.fixture
    def client(self, alice: Any) -> Client:
        return client_of(alice)

    def test_rejects_what_does_not_fit_with_line_column_and_reason(self, client: Client) -> None:
        made = {
            "fields": [
                {"name": "item", "constraints": {"required": True}},
                {"name": "price", "type": "number", "decimalChar": ",", "constraints": {"minimum": 0}},
            ],
            "missingValues": ["", "N/A"],
        }
        sent = b'item;price\npen;"1,5"\nN/A;2\nink;-1\ncap;free\nhat;N/A\n'
        operation = imported(client, sent, schema=json.dumps(made))
        assert rows_of(operation) == {"item": ["pen", "hat"], "price": [1.5, None]}
        assert operation.result["columns"][1] == {"name": "price", "type": "number"}
        assert list(operation.rejects.values_list("position", "column", "code", "message")) == [
            (3, "item", "constraint_error", "Line 3, column item: a value is required, but there is none."),
            (4, "price", "constraint_error", "Line 4, column price: '-1' is less than 0.0."),
            (5, "price", "type_error", "Line 5, column price: 'free' is not a number."),
        ]

    def test_is_refused_where_the_schema_is_bad(self, client: Client) -> None:
        answer = send(client, b"a\n1\n", schema='{"fields": [{"name": "a", "constraints": {"unique": true}}]}')
        assert problem(answer) == (422, "unsupported_schema", "/schema/fields/0/constraints/unique")

    def test_is_refused_with_types_beside_a_schema(self, client: Client) -> None:
        answer = send(client, b"a\n1\n", types='{"a": "integer"}', schema='{"fields": [{"name": "a"}]}')
        assert problem(answer) == (422, "invalid", "/types")
