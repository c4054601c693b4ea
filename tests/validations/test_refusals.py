"""Every mistake in a request is refused before there is an operation, with its place and the remedy."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from lro.models import Operation
from tests.validations.conftest import client_of
from validations.models import RuleSet

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("files")]


@pytest.fixture
def dataset(table: Any) -> str:
    found = table(
        price=("number", [1.5]),
        name=("string", ["pen"]),
        born=("date", [None]),
        at=("datetime", [None]),
        ok=("boolean", [True]),
    )
    return str(found.id)


@pytest.fixture
def refused(client: Client, dataset: str) -> Any:
    """The status, code, first pointer and message of the refusal of one rule, and all of its places."""

    def ask(*rules: Any, **wanted: Any) -> Any:
        data = {"dataset": dataset, **({"rules": list(rules)} if rules else {}), **wanted}
        answer = client.post("/validations/run", data, content_type="application/json")
        assert not Operation.objects.exists()
        assert answer.headers["Content-Type"] == "application/problem+json"
        return answer.status_code, answer.json()

    return ask


def first(answer: tuple[int, Any]) -> tuple[int, str, str, str]:
    status, body = answer
    return status, body["code"], body["errors"][0]["pointer"], body["detail"]


OK = {"rule": "required", "column": "name", "id": "ok"}


@pytest.mark.parametrize(
    ("rule", "code", "pointer", "message"),
    [
        (
            {"rule": "required", "column": "prise", "id": "r3"},
            "unknown_column",
            "/rules/1/column",
            "Rule r3 names column prise; did you mean price?",
        ),
        (
            {"rule": "unique", "columns": ["name", "xyz"]},
            "unknown_column",
            "/rules/1/columns",
            "Rule r2 names column xyz, which the dataset does not have.",
        ),
        (
            {"rule": "pattern", "column": "name", "pattern": "(a"},
            "bad_regex",
            "/rules/1/pattern",
            "Rule r2: '(a': unclosed group.",
        ),
        (
            {"rule": "pattern", "column": "name", "pattern": r"(a)\1"},
            "bad_regex",
            "/rules/1/pattern",
            r"Rule r2: '(a)\1': backreferences are not supported.",
        ),
        (
            {"rule": "condition", "then": "price > 1 and"},
            "bad_expression",
            "/rules/1/then",
            "Rule r2: then, character 13: Something is missing at the right side of And.",
        ),
        (
            {"rule": "condition", "when": "prise > 1", "then": "ok"},
            "unknown_column",
            "/rules/1/when",
            "Rule r2: when, character 1: There is no column prise; did you mean price?",
        ),
        (
            {"rule": "condition", "then": "price = pg_sleep(9)"},
            "bad_expression",
            "/rules/1/then",
            "Rule r2: then, character 9: pg_sleep may not be used in a condition.",
        ),
        (
            {"rule": "condition", "then": "price"},
            "bad_expression",
            "/rules/1/then",
            "Rule r2: then, character 1: A condition must be true or false, this one is a number.",
        ),
        (
            {"rule": "minimum", "column": "price", "minimum": "cheap"},
            "bad_bound",
            "/rules/1/minimum",
            "Rule r2: minimum must be a number or an ISO 8601 date, not 'cheap'.",
        ),
        (
            {"rule": "minimum", "column": "born", "minimum": 7},
            "bad_bound",
            "/rules/1/minimum",
            "Rule r2: column born holds dates, so 7 is no bound of it.",
        ),
        (
            {"rule": "maximum", "column": "price", "maximum": "2024-01-01"},
            "bad_bound",
            "/rules/1/maximum",
            "Rule r2: column price holds numbers, so '2024-01-01' is no bound of it.",
        ),
        (
            {"rule": "minimum", "column": "ok", "minimum": 1},
            "bad_bound",
            "/rules/1/minimum",
            "Rule r2: column ok holds true and false, so 1 is no bound of it.",
        ),
        (
            {"rule": "between", "column": "price", "minimum": 9, "maximum": 1},
            "bad_bound",
            "/rules/1/maximum",
            "Rule r2: the minimum 9 is above the maximum 1.",
        ),
        (
            {"rule": "between", "column": "price", "minimum": 9, "maximum": "2024-01-01"},
            "bad_bound",
            "/rules/1/maximum",
            "Rule r2: minimum and maximum must both be numbers, or both be dates.",
        ),
        (
            {"rule": "date_range", "column": "born", "minimum": "2024-02-30"},
            "bad_bound",
            "/rules/1/minimum",
            "Rule r2: minimum must be an ISO 8601 date or datetime, or today or now with an offset such as today-30d, "
            "not '2024-02-30'.",
        ),
        (
            {"rule": "mean", "column": "born", "minimum": 1},
            "wrong_column_type",
            "/rules/1/column",
            "Rule r2: column born holds dates, no numbers.",
        ),
        (
            {"rule": "freshness", "column": "price", "max_age": "1d"},
            "wrong_column_type",
            "/rules/1/column",
            "Rule r2: column price holds numbers, no dates.",
        ),
        (
            {"rule": "freshness", "column": "at", "max_age": "soon"},
            "wrong_type",
            "/rules/1/max_age",
            "Rule r2: max_age must be a length of time such as 90m, 36h or 7d, not 'soon'.",
        ),
        (
            {"rule": "length", "column": "name", "minimum": -1},
            "bad_bound",
            "/rules/1/minimum",
            "Rule r2: minimum must be a whole number, 0 or more, not -1.",
        ),
        (
            {"rule": "quantile", "column": "price", "quantile": 2, "minimum": 1},
            "wrong_type",
            "/rules/1/quantile",
            "Rule r2: quantile must be a share from 0 to 1, not 2.",
        ),
        (
            {"rule": "type", "column": "name", "type": "colour"},
            "wrong_type",
            "/rules/1/type",
            "Rule r2: type must be one of string, integer, number, boolean, date, datetime, not 'colour'.",
        ),
        (
            {"rule": "enum", "column": "name", "values": []},
            "wrong_type",
            "/rules/1/values",
            "Rule r2: values must be a list of texts, numbers or booleans, at least one, not [].",
        ),
        (
            {"rule": "length", "column": "name"},
            "missing_field",
            "/rules/1/minimum",
            "Rule r2: length needs minimum or maximum.",
        ),
        (
            {"rule": "pattern", "column": "name"},
            "missing_field",
            "/rules/1/pattern",
            "Rule r2: pattern needs pattern.",
        ),
        (
            {"rule": "unique"},
            "missing_field",
            "/rules/1/column",
            "Rule r2: unique needs either column or columns.",
        ),
        (
            {"rule": "unique", "columns": ["name", "name"]},
            "wrong_type",
            "/rules/1/columns",
            "Rule r2: columns names a column twice.",
        ),
        (
            {"rule": "null_share", "column": "name", "maximum": 1.5},
            "bad_bound",
            "/rules/1/maximum",
            "Rule r2: maximum must be a share from 0 to 1, not 1.5.",
        ),
        (
            {"rule": "required", "column": "name", "threshold": "150%"},
            "bad_threshold",
            "/rules/1/threshold",
            "Rule r2: a threshold is a count (0, 10, …) or a share below 1 (0.05), not '150%'.",
        ),
        ({"rule": "required"}, "missing_field", "/rules/1/column", "Rule r2: required needs a column."),
        (
            {"rule": "row_count", "minimum": 1, "column": "name"},
            "unknown_field",
            "/rules/1/column",
            "Rule r2: row_count takes no column.",
        ),
        (
            {"rule": "required", "column": "name", "minimun": 1},
            "unknown_field",
            "/rules/1/minimun",
            "Rule r2: required takes no minimun.",
        ),
        (
            {"rule": "required", "column": ["name"]},
            "wrong_type",
            "/rules/1/column",
            "Rule r2: column must name columns of the dataset.",
        ),
        (
            {"rule": "required", "column": "name", "threshold": 1.5},
            "bad_threshold",
            "/rules/1/threshold",
            "Rule r2: a threshold is a count (0, 10, …) or a share below 1 (0.05), not 1.5.",
        ),
        (
            {"rule": "required", "column": "name", "threshold": -1},
            "bad_threshold",
            "/rules/1/threshold",
            "Rule r2: a threshold is a count (0, 10, …) or a share below 1 (0.05), not -1.",
        ),
        (
            {"rule": "required", "column": "name", "severity": "fatal"},
            "bad_severity",
            "/rules/1/severity",
            "Rule r2: the severity is error or warning, not 'fatal'.",
        ),
        (
            {"rule": "required", "column": "name", "message": 7},
            "wrong_type",
            "/rules/1/message",
            "Rule r2: message must be a text of at most 500 characters.",
        ),
        (
            {"rule": "required", "column": "name", "id": "ok"},
            "duplicate_id",
            "/rules/1/id",
            "The id ok is that of rule 1 already.",
        ),
        (
            {"rule": "required", "column": "name", "id": "a b"},
            "bad_id",
            "/rules/1/id",
            "The id of rule 2 must be 1 to 60 letters, digits, '.', '_' or '-'.",
        ),
        ("required", "wrong_type", "/rules/1", "Rule 2 must be an object."),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value and "/" not in value else "",
)
def test_a_bad_rule_is_pointed_at(refused: Any, rule: Any, code: str, pointer: str, message: str) -> None:
    assert first(refused(OK, rule)) == (422, code, pointer, message)


def test_an_unknown_kind_of_rule_is_named_with_the_nearest_one(refused: Any) -> None:
    status, code, pointer, message = first(refused({"rule": "uniqe", "column": "name"}))
    assert (status, code, pointer) == (422, "unknown_rule", "/rules/0/rule")
    assert message.startswith("Rule r1: the kind of rule is uniqe; did you mean unique? The kinds are type, required,")


def test_a_rule_without_a_kind_is_refused(refused: Any) -> None:
    assert first(refused({"column": "name"}))[:3] == (422, "unknown_rule", "/rules/0/rule")


def test_all_mistakes_are_told_at_once_with_the_position_in_an_expression(refused: Any) -> None:
    _, body = refused({"rule": "required", "column": "prise"}, {"rule": "condition", "then": "ok and nam = 'x'"})
    places = [(each["pointer"], each["code"], each.get("position")) for each in body["errors"]]
    assert places == [("/rules/0/column", "unknown_column", None), ("/rules/1/then", "unknown_column", 8)]


def test_rules_that_are_no_list_or_too_many_are_refused(refused: Any) -> None:
    message = "The rules must be a list of objects, at least one."
    assert first(refused(rules={"rule": "required"})) == (422, "wrong_type", "/rules", message)
    assert first(refused(rules=[])) == (422, "wrong_type", "/rules", message)
    message = "There are 301 rules; a document has at most 300. Split it."
    assert first(refused(*[{"rule": "distinct_rows"}] * 301)) == (422, "too_many_rules", "/rules", message)


def test_rules_must_come_in_exactly_one_form(refused: Any) -> None:
    refusal = 422, "no_rules", "/rules", "Give the rules in exactly one of 'rules', 'rules_yaml' and 'rule_set'."
    assert first(refused()) == refusal
    assert first(refused(OK, rules_yaml="- rule: distinct_rows")) == refusal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- rule: [", "line 1, column 10"),
        ("a: &x [1]\nb: *x", "aliases are not allowed"),
        ("[" * 5000, "nested too deeply"),
        ("- rule: !!python/object:os.system {}", "could not determine a constructor"),
    ],
    ids=["syntax", "aliases", "nesting", "objects"],
)
def test_bad_yaml_is_refused(refused: Any, text: str, message: str) -> None:
    status, code, pointer, detail = first(refused(rules_yaml=text))
    assert (status, code, pointer) == (422, "bad_yaml", "/rules_yaml")
    assert message in detail


def test_a_foreign_key_must_lead_to_a_dataset_and_columns_that_one_may_read(refused: Any, table: Any) -> None:
    other = str(table(id=("integer", [1])).id)
    rule = {"rule": "foreign_key", "column": "price", "dataset": other, "references": "id"}
    unknown = str(uuid4())
    assert first(refused({**rule, "dataset": unknown})) == (
        422,
        "unknown_dataset",
        "/rules/0/dataset",
        f"Rule r1: there is no dataset {unknown}.",
    )
    assert first(refused({**rule, "dataset": "people"}))[1] == "unknown_dataset"
    assert first(refused({**rule, "references": "ids"}))[1:3] == ("unknown_column", "/rules/0/references")
    assert first(refused({**rule, "references": ["id", "id"]}))[1:] == (
        "wrong_type",
        "/rules/0/references",
        "Rule r1: 1 columns cannot refer to 2.",
    )


@pytest.mark.django_db(transaction=True)
def test_a_dataset_of_another_or_none_is_refused(upload: Any, bob: Any, client: Client) -> None:
    dataset = upload("name\npen\n")
    for who, identifier in ((client_of(bob), dataset), (client, str(uuid4()))):
        data = {"dataset": identifier, "rules": [OK]}
        answer = who.post("/validations/run", data, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_dataset")
        assert answer.json()["errors"][0]["pointer"] == "/dataset"


def test_a_rule_set_or_version_that_is_not_there_is_refused(refused: Any, alice: Any, bob: Any) -> None:
    from validations import rule_sets
    from validations.rule_documents import read_rules

    mine = rule_sets.create("mine", read_rules([OK]), alice)
    theirs = rule_sets.create("theirs", read_rules([OK]), bob)
    assert first(refused(rule_set=str(theirs.pk)))[1:3] == ("unknown_rule_set", "/rule_set")
    assert first(refused(rule_set=str(mine.pk), version=2)) == (
        422,
        "unknown_version",
        "/version",
        "The rule set mine has the versions 1 to 1, and no 2.",
    )


def test_stored_rules_that_do_not_fit_the_dataset_are_pointed_at(refused: Any, alice: Any) -> None:
    from validations import rule_sets
    from validations.rule_documents import read_rules

    mine = rule_sets.create("mine", read_rules([{"rule": "required", "column": "prise"}]), alice)
    assert first(refused(rule_set=str(mine.pk)))[1:3] == ("unknown_column", "/rule_set/rules/0/column")
    assert RuleSet.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fail_on", "maybe"),
        ("fial_on", "error"),
        ("max_violations", 1001),
        ("max_violations", -1),
        ("as_of", "soon"),
        ("rows_per_child", 0),
        ("version", 0),
        ("rule_set", "mine"),
        ("dataset", "people"),
    ],
)
def test_a_value_that_is_out_of_its_range_is_pointed_at(refused: Any, field: str, value: Any) -> None:
    status, code, pointer, _ = first(refused(OK, **{field: value}))
    assert (status, code, pointer) == (400, "invalid", f"/{field}")
