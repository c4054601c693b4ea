"""Row conditions: SQL's logic, a whitelist of what may be said, and a place for every mistake."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from validations.expression_parsing import BadExpression
from validations.expressions import translate

SCHEMA = {
    "a": pl.Int64(),
    "s": pl.String(),
    "born": pl.Date(),
    "at": pl.Datetime("us"),
    "ok": pl.Boolean(),
    "x y": pl.Float64(),
}
ROWS = pl.DataFrame(
    {
        "a": [1, None, 3],
        "s": ["abc", "Xyz", None],
        "born": [None, date(2000, 1, 2), date(2020, 1, 1)],
        "at": [datetime(2020, 1, 1, 5), None, datetime(2021, 1, 1)],
        "ok": [True, False, None],
        "x y": [0.5, 0.0, None],
    },
    schema=SCHEMA,
)
AS_OF = datetime(2020, 6, 1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a > 1", [False, None, True]),
        ("a = 1 OR ok", [True, None, None]),
        ("a = 1 AND ok", [True, False, False]),
        ("NOT ok", [False, True, None]),
        ("a IS NOT NULL", [True, False, True]),
        ("ok IS TRUE", [True, False, False]),
        ("a IN (1, 2)", [True, None, False]),
        ("a NOT IN (1, 2)", [False, None, True]),
        ("a BETWEEN 2 AND 3", [False, None, True]),
        ("s LIKE 'a%'", [True, False, None]),
        ("s LIKE 'ab_'", [True, False, None]),
        ("s ILIKE 'x%'", [False, True, None]),
        ("s ~ '^[a-c]+$'", [True, False, None]),
        ("regexp_matches(s, 'y')", [False, True, None]),
        ("length(s) = 3", [True, True, None]),
        ("upper(s) = 'XYZ' AND lower(s) = 'xyz'", [False, True, None]),
        ("trim(s) || '!' = 'abc!'", [True, False, None]),
        ("starts_with(s, 'a') OR ends_with(s, 'z')", [True, True, None]),
        ("substring(s, 1, 2) = 'ab'", [True, False, None]),
        ("contains(s, 'b')", [True, False, None]),
        ("a + 1 = 2 AND a * 2 - 1 = 1", [True, None, False]),
        ('a / "x y" > 1', [True, None, None]),
        ("a % 2 = 1", [True, None, True]),
        ("abs(-a) = 1", [True, None, False]),
        ("coalesce(a, 0) = 0", [False, True, False]),
        ("greatest(a, 2) = 2", [True, True, False]),
        ("least(a, 2) = 1", [True, False, False]),
        ("CASE WHEN a > 1 THEN ok ELSE true END", [True, True, None]),
        ("born > '2000-01-01'", [None, True, True]),
        ("born >= DATE '2000-01-02'", [None, True, True]),
        ("born BETWEEN '1999-01-01' AND current_date", [None, True, True]),
        ("at < current_timestamp", [True, None, False]),
        ("extract(year FROM born) = 2020", [None, False, True]),
        ("year(at) = 2020 AND month(at) = 1 AND day(at) = 1", [True, None, False]),
        ("CAST(s AS INTEGER) IS NULL", [True, True, True]),
        ("CAST(a AS TEXT) = '1'", [True, None, False]),
        ("CAST('2020-01-01' AS DATE) = born", [None, False, True]),
        ("(((a))) = 1", [True, None, False]),
        ('floor("x y") = 0 AND ceil("x y") = 1', [True, False, None]),
    ],
)
def test_an_expression_means_what_sql_means(text: str, values: list[Any]) -> None:
    assert ROWS.select(translate(text, SCHEMA, AS_OF).alias("value"))["value"].to_list() == values


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 1, "It must be one expression."),
        ("a > 1; DROP TABLE x", 1, "It must be one expression."),
        ("a > 1 AND", 9, "Something is missing at the right side of And."),
        ("a >\n1 AND", 9, "Something is missing at the right side of And."),
        ("a = pg_sleep(3)", 5, "pg_sleep may not be used in a condition."),
        ("a > > 3", 1, "'a >> 3' may not be used in a condition."),
        ("a > 3 AND (SELECT 1)", 19, "SUBQUERY may not be used in a condition."),
        ("EXISTS (SELECT 1)", 16, "EXISTS may not be used in a condition."),
        ("a IN (SELECT a FROM t)", 1, "IN is followed by a list of values."),
        ("sum(a) > 3", 1, "SUM may not be used in a condition."),
        ("read_csv('/etc/passwd') = 1", 1, "READCSV may not be used in a condition."),
        ("prise > 3", 1, "There is no column prise."),
        ("t.a > 3", 1, "There is no column t.a; did you mean a or at?"),
        ("ok AND a > 'x'", 8, "This compares a number with text; CAST one of them."),
        ("ok AND a", 8, "Here must be true or false, not a number."),
        ("a", 1, "A condition must be true or false, this one is a number."),
        ("lower(a) = 'x'", 7, "Here must be text, not a number."),
        ("born > '2000-13-01'", 8, "'2000-13-01' is no date or time."),
        ("a IS 3", 1, "IS is followed by NULL, NOT NULL, TRUE or FALSE."),
        ("extract(week FROM born) = 1", 19, "There is no part week of a time."),
        ("s LIKE s", 1, "LIKE is followed by a text in quotes."),
        ("s ~ s", 1, "The regular expression must be a text in quotes."),
        ("CAST(a AS BLOB) = 1", 6, "There is no type VARBINARY; cast to DATE, TIMESTAMP, TEXT, INTEGER or DOUBLE."),
        ("(" * 300 + "a" + ")" * 300 + " = 1", 1, "It is nested too deeply."),
        ("trim(s, 'a') = ''", 6, "TRIM takes no expression here."),
        ("trim(LEADING FROM s) = ''", 19, "TRIM takes no position here."),
        ('floor("x y", 1) = 0', 7, "FLOOR takes no decimals here."),
        ("regexp_matches(s, 'A', 'i')", 1, "REGEXPLIKE takes no flag here."),
        ("a BETWEEN SYMMETRIC 3 AND 1", 1, "BETWEEN takes no symmetric here."),
        ("contains(s, 'a', 'b')", 1, "CONTAINS takes no json_scope here."),
        ("a = 1" + " OR a = 1" * 300, 1, "It has 2,705 characters; at most 2,000 are allowed."),
    ],
    ids=range(31),
)
def test_what_may_not_be_said_is_refused_with_its_place(text: str, position: int, message: str) -> None:
    with pytest.raises(BadExpression) as caught:
        translate(text, SCHEMA, AS_OF)
    assert (caught.value.position, caught.value.message) == (position, message)


def test_the_time_to_read_an_expression_does_not_double_with_each_level() -> None:
    depth = 24
    nested = "coalesce(" * depth + "born" + ", '2024-01-01')" * depth
    assert ROWS.select(translate(f"{nested} < '2024-01-01'", SCHEMA, AS_OF).sum()).item() == 2


def test_a_number_of_any_length_is_a_number() -> None:
    text = f"a < {'9' * 400} AND a < {2**63 - 1} AND a < {2**63}"
    assert ROWS.select(translate(text, SCHEMA, AS_OF))["a"].to_list() == [True, None, True]


def test_a_regular_expression_that_cannot_be_read_is_refused_in_the_request() -> None:
    with pytest.raises(BadExpression, match="This cannot be computed"):
        translate("s ~ '('", SCHEMA, AS_OF)
