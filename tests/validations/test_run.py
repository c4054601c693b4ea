"""`validations.run` from the request to the reports."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from lro.models import Operation
from lro.testing import cancel_after, crash_after, pause_after, run_due, run_operation
from tests.validations.tables import MemoryTable
from validations import batches, row_pass
from validations.models import Run, Violation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

PEOPLE = "name,age,mail\nAda,36,ada@example.org\nGrace,,grace@example\nAda,142,\n"
RULES: list[dict[str, Any]] = [
    {"rule": "required", "column": "age", "id": "age-there"},
    {"rule": "unique", "column": "name", "id": "one-name", "threshold": 1},
    {"rule": "between", "column": "age", "minimum": 0, "maximum": 120, "id": "age", "message": "Nobody is that old."},
    {"rule": "pattern", "column": "mail", "pattern": r"[^@\s]+@[^@\s]+\.[a-z]+", "severity": "warning", "id": "mail"},
    {"rule": "row_count", "minimum": 1, "id": "some"},
]


def outcomes(operation: Any) -> dict[str, Any]:
    return {each["id"]: (each["status"], each["failed"]) for each in operation["result"]["outcomes"]}


def artifact(client: Client, operation: Any, name: str) -> bytes:
    listed = client.get(f"/operations/{operation['id']}/artifacts/").json()["results"]
    (address,) = [each["links"]["download"] for each in listed if each["name"] == name]
    return b"".join(client.get(address).streaming_content)


def facts(client: Client, operation: Any) -> list[dict[str, Any]]:
    return list(client.get(f"/operations/{operation['id']}/events/?limit=500").json()["results"])


class TestARun:
    def test_judges_each_rule_against_its_threshold_and_counts_every_violation(
        self, upload: Any, validate: Any
    ) -> None:
        operation = validate(upload(PEOPLE), RULES)
        assert operation["state"] == "succeeded", operation["error"]
        assert outcomes(operation) == {
            "age-there": ("failed", 1),
            "one-name": ("passed", 1),
            "age": ("failed", 1),
            "mail": ("failed", 1),
            "some": ("passed", 0),
        }
        counts = {key: operation["result"][key] for key in ("verdict", "rows", "passed", "failed", "errored")}
        assert counts == {"verdict": "failed", "rows": 3, "passed": 2, "failed": 3, "errored": 0}

    def test_warns_where_only_rules_of_severity_warning_are_broken(self, upload: Any, validate: Any) -> None:
        dataset = upload(PEOPLE)
        assert validate(dataset, RULES[3:])["result"]["verdict"] == "warning"
        assert validate(dataset, RULES[4:])["result"]["verdict"] == "passed"

    def test_tells_violations_and_rules_live(self, client: Client, upload: Any, validate: Any) -> None:
        operation = validate(upload(PEOPLE), RULES)
        events = facts(client, operation)
        kinds = [each["kind"] for each in events if each["kind"].startswith("validations.")]
        assert kinds[-6:] == ["validations.rule_done"] * 5 + ["validations.completed"]
        told = [v for each in events if each["kind"] == "validations.violation" for v in each["data"]["violations"]]
        assert [(each["rule"], each["row"], each["column"], each["value"], each["message"]) for each in told] == [
            ("age-there", 2, "age", "", "Row 2: There is no value."),
            ("age", 3, "age", "142", "Row 3: Nobody is that old."),
            ("mail", 2, "mail", "grace@example", "Row 2: 'grace@example' does not match [^@\\s]+@[^@\\s]+\\.[a-z]+."),
            ("one-name", 3, "name", "Ada", "Row 3: 'Ada' was there before."),
        ]
        assert operation["progress"]["unit"] == "rows"
        assert operation["progress"]["current"] == operation["progress"]["total"] == 3

    def test_is_tagged_with_all_datasets_that_it_reads(self, upload: Any, validate: Any) -> None:
        people, towns = upload("town\nRome\nBonn\n"), upload("name\nRome\n")
        rule = {"rule": "foreign_key", "column": "town", "dataset": towns, "references": "name"}
        operation = validate(people, [rule])
        assert operation["tags"] == [f"dataset:{people}", f"dataset:{towns}"]
        assert outcomes(operation) == {"r1": ("failed", 1)}

    def test_takes_rules_as_yaml_and_as_a_stored_set(self, client: Client, upload: Any, validate: Any) -> None:
        dataset = upload(PEOPLE)
        text = "rules:\n- rule: date_range\n  column: name\n  minimum: 2024-01-01\n  severity: warning\n"
        assert validate(dataset, rules_yaml=text)["result"]["verdict"] == "warning"
        stored = client.post("/validations/rule-sets/", {"name": "people", "rules": RULES}, "application/json").json()
        operation = validate(dataset, rule_set=stored["id"])
        assert (operation["result"]["rule_set"], operation["result"]["version"]) == (stored["id"], 1)
        assert f"rule-set:{stored['id']}" in operation["tags"]

    def test_of_an_empty_table_finds_nothing_but_that_it_is_empty(self, upload: Any, validate: Any) -> None:
        rules = [*RULES, {"rule": "mean", "column": "age", "minimum": 1}, {"rule": "distinct_rows"}]
        result = validate(upload("name,age,mail\n"), [{**rule, "id": f"x{n}"} for n, rule in enumerate(rules)])[
            "result"
        ]
        assert [each["rule"] for each in result["outcomes"] if each["status"] == "failed"] == ["row_count"]

    def test_reads_text_cells_as_what_a_bound_needs_and_what_is_none_breaks_the_rule(
        self, upload: Any, validate: Any
    ) -> None:
        dataset = upload("price,day\n5,2024-01-01\nN/A,2024-13-01\n500,\n")
        low = {"rule": "between", "column": "price", "minimum": 0, "maximum": 100}
        day = {"rule": "date_range", "column": "day", "maximum": "2024-12-31"}
        typed = [
            {"rule": "type", "column": "price", "type": "integer"},
            {"rule": "type", "column": "day", "type": "date"},
        ]
        operation = validate(dataset, [low, day, *typed])
        assert [each["failed"] for each in operation["result"]["outcomes"]] == [2, 1, 1, 1]

    def test_says_what_a_rule_about_the_whole_column_observed(self, table: Any, validate: Any) -> None:
        rows = table(n=("number", [1.0, 2.0, 3.0, 10.0, None]))
        rules = [
            {"rule": "mean", "column": "n", "maximum": 3.9},
            {"rule": "quantile", "column": "n", "quantile": 0.5, "minimum": 2, "maximum": 2},
            {"rule": "null_share", "column": "n", "maximum": 0.1},
        ]
        found = validate(rows, rules)["result"]["outcomes"]
        assert [(each["status"], each["observed"]) for each in found] == [
            ("failed", 4.0),
            ("passed", {"below": 0.25, "up_to": 0.5}),
            ("failed", 0.2),
        ]


class TestARuleThatCannotRun:
    def test_is_errored_and_never_passed(self, upload: Any, validate: Any) -> None:
        rule = {"rule": "mean", "column": "price", "maximum": 100}
        result = validate(upload("price\n5\nN/A\n"), [rule, {"rule": "row_count", "minimum": 1}])["result"]
        assert (result["verdict"], result["errored"]) == ("failed", 1)
        assert result["outcomes"][0]["message"] == "1 texts in column price are no numbers."

    def test_leaves_the_others_as_they_are(self, table: Any, validate: Any) -> None:
        from tests.validations.tables import _tables

        rows, other = table(n=("integer", [1, 2])), table(id=("integer", [1]))
        rules = [
            {"rule": "foreign_key", "column": "n", "dataset": str(other.id), "references": "id"},
            {"rule": "maximum", "column": "n", "maximum": 1},
        ]
        kept = MemoryTable.read

        def gone(self: Any, part: int, columns: Any = None) -> Any:
            _tables.pop(other.id, None)  # deleted between the request and the run
            return kept(self, part, columns)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(row_pass, "Reference", _vanishing(row_pass.Reference, other))
            patch.setattr(MemoryTable, "read", gone)
            found = validate(rows, rules)["result"]
        assert [each["status"] for each in found["outcomes"]] == ["errored", "failed"]
        assert found["outcomes"][0]["message"] == f"The dataset {other.id} was deleted."


def _vanishing(whole: Any, other: Any) -> Any:
    from tests.validations.tables import _tables

    def made(*arguments: Any) -> Any:
        _tables.pop(other.id, None)
        return whole(*arguments)

    return made


class TestAGate:
    @pytest.mark.parametrize(
        ("fail_on", "state"), [("never", "succeeded"), ("error", "succeeded"), ("warning", "failed")]
    )
    def test_fails_the_operation_where_it_is_asked_to(
        self, upload: Any, validate: Any, fail_on: str, state: str
    ) -> None:
        operation = validate(upload(PEOPLE), RULES[3:], fail_on=fail_on)
        assert operation["state"] == state
        if state == "failed":
            error = operation["error"]
            assert (error["code"], error["kind"]) == ("validation_failed", "user")
            assert error["message"] == "1 of 2 rules did not pass: mail. The reports say where."
            assert [each["id"] for each in error["details"]] == ["mail"]

    def test_leaves_the_reports_of_what_it_failed(self, client: Client, upload: Any, validate: Any) -> None:
        operation = validate(upload(PEOPLE), RULES, fail_on="error")
        assert json.loads(artifact(client, operation, "report.json"))["verdict"] == "failed"


class TestTheReports:
    @pytest.fixture
    def operation(self, upload: Any, validate: Any) -> Any:
        content = 'name,mail\n"<b>x</b>",=1+1\nAda,a@b.org\n'
        rules = [
            {"rule": "pattern", "column": "mail", "pattern": "[^=]+"},
            {"rule": "length", "column": "name", "maximum": 3, "name": "short <i>names</i>"},
            {"rule": "condition", "then": "name = 'Ada' and mail like 'a%'"},
        ]
        return validate(upload(content, "people.csv"), rules)

    def test_list_the_violations_for_a_spreadsheet_which_runs_none_of_them(
        self, client: Client, operation: Any
    ) -> None:
        text = artifact(client, operation, "violations.csv").decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [(row["row"], row["rule"], row["column"], row["value"]) for row in rows] == [
            ("1", "r1", "mail", "'=1+1"),
            ("1", "r2", "name", "<b>x</b>"),
            ("1", "r3", "", "name=<b>x</b>, mail==1+1"),
        ]

    def test_hold_all_of_it_for_a_machine(self, client: Client, operation: Any) -> None:
        report = json.loads(artifact(client, operation, "report.json"))
        assert report["outcomes"] == operation["result"]["outcomes"]
        assert report["violations"]["r1"][0] == {
            "rule": "r1",
            "severity": "error",
            "row": 1,
            "column": "mail",
            "value": "=1+1",
            "message": "Row 1: '=1+1' does not match [^=]+.",
        }

    def test_show_it_to_people_on_one_page_without_scripts(self, client: Client, operation: Any) -> None:
        page = artifact(client, operation, "report.html").decode()
        assert page.startswith("<!doctype html>")
        assert "&lt;b&gt;x&lt;/b&gt;" in page
        assert "short &lt;i&gt;names&lt;/i&gt;" in page
        assert "<script" not in page
        assert "http" not in page  # nothing is fetched
        assert "@media print" in page
        assert len(page) < 20_000


class TestComparison:
    def test_is_with_the_run_before_of_the_same_rules_on_a_dataset_of_the_same_name(
        self, client: Client, upload: Any, validate: Any
    ) -> None:
        rules = [{"rule": "maximum", "column": name, "maximum": 1} for name in "abcd"]
        stored = client.post("/validations/rule-sets/", {"name": "abcd", "rules": rules}, "application/json").json()
        before = validate(upload("a,b,c,d\n1,2,1,2\n1,1,1,2\n1,1,1,1\n", "x.csv"), rule_set=stored["id"])
        assert before["result"]["before"] is None
        assert "change" not in before["result"]["outcomes"][0]
        validate(upload("a,b,c,d\n2,2,2,2\n", "y.csv"), rule_set=stored["id"])
        after = validate(upload("a,b,c,d\n2,1,1,2\n1,1,1,2\n1,1,1,2\n", "x.csv"), rule_set=stored["id"])
        assert after["result"]["before"] == {"operation": before["id"], "version": 1, "verdict": "failed"}
        assert [each["change"] for each in after["result"]["outcomes"]] == ["new", "fixed", "same", "worse"]

    def test_outlives_the_operation_it_compares_with(self, client: Client, upload: Any, validate: Any) -> None:
        data = {"name": "n", "rules": [{"rule": "row_count", "minimum": 2}]}
        stored = client.post("/validations/rule-sets/", data, "application/json").json()
        before = validate(upload("a\n1\n", "x.csv"), rule_set=stored["id"])
        assert client.delete(f"/operations/{before['id']}").status_code == 204
        after = validate(upload("a\n1\n2\n", "x.csv"), rule_set=stored["id"])
        assert [each["change"] for each in after["result"]["outcomes"]] == ["fixed"]


class TestWhatIsKept:
    def test_is_capped_for_each_rule_and_counted_completely(self, table: Any, validate: Any) -> None:
        rows = table(part=7, n=("integer", [0, 9] * 50), s=("string", ["x"] * 100))
        rules = [{"rule": "maximum", "column": "n", "maximum": 1}, {"rule": "unique", "column": "s"}]
        operation = validate(rows, rules, max_violations=5)
        assert outcomes(operation) == {"r1": ("failed", 50), "r2": ("failed", 99)}
        kept = Violation.objects.filter(operation_id=operation["id"]).order_by("rule", "row")
        assert list(kept.values_list("rule", "row")) == [
            *(("r1", row) for row in (2, 4, 6, 8, 10)),
            *(("r2", row) for row in (2, 3, 4, 5, 6)),
        ]

    def test_goes_with_its_operation(self, client: Client, upload: Any, validate: Any) -> None:
        operation = validate(upload(PEOPLE), RULES, rows_per_child=1)
        assert Violation.objects.exists()
        assert client.delete(f"/operations/{operation['id']}").status_code == 204
        assert not Violation.objects.exists()


@pytest.fixture
def many(table: Any) -> Any:
    """A table in many parts, and every kind of rule that keeps something between them."""
    count = 140
    rows = table(
        part=10,
        n=("integer", [n % 90 for n in range(count)]),
        x=("number", [n / 7 for n in range(count)]),
        s=("string", [f"s{n % 150}" for n in range(count)]),
    )
    other = table(id=("integer", list(range(0, 90, 2))))
    rules = [
        {"rule": "unique", "column": "n"},
        {"rule": "unique", "columns": ["n", "s"]},
        {"rule": "distinct_rows"},
        {"rule": "between", "column": "x", "minimum": 1, "maximum": 20},
        {"rule": "mean", "column": "x", "maximum": 10},
        {"rule": "foreign_key", "column": "n", "dataset": str(other.id), "references": "id"},
        {"rule": "condition", "when": "n > 10", "then": "s like 's1%'"},
    ]
    return {"dataset": str(rows.id), "rules": rules, "max_violations": 7, "as_of": "2024-01-01T00:00:00Z"}


def report_of(operation: Any) -> Any:
    kept = Violation.objects.filter(operation_id=operation.pk).order_by("rule", "row")
    return operation.result, list(kept.values_list("rule", "row", "column", "value"))


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_CELLS", 60)
    monkeypatch.setattr(row_pass, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.slow
class TestARunThatIsInterrupted:
    @pytest.mark.parametrize("rows_per_child", [1000, 60])
    def test_at_every_checkpoint_ends_with_the_same_report(self, many: Any, alice: Any, rows_per_child: int) -> None:
        many["rows_per_child"] = rows_per_child
        whole = run_operation("validations.run", many, alice)
        assert whole.state == "succeeded", whole.error
        wanted = report_of(whole)
        checkpoints = whole.checkpoints
        assert checkpoints > 5
        for number in range(1, checkpoints + 1):
            with crash_after(checkpoints=number):
                operation = run_operation("validations.run", many, alice)
            assert (number, report_of(operation)) == (number, wanted)
            told = [e.data for e in operation.events.filter(kind="validations.violation").order_by("sequence")]
            first = [e.data for e in whole.events.filter(kind="validations.violation").order_by("sequence")]
            assert told == first
            assert operation.events.filter(kind="validations.rule_done").count() == len(many["rules"])

    def test_by_cancel_stops_and_by_pause_goes_on(self, many: Any, alice: Any) -> None:
        wanted = report_of(run_operation("validations.run", many, alice))
        with cancel_after(checkpoints=3):
            assert run_operation("validations.run", many, alice).state == "cancelled"
        with pause_after(checkpoints=3):
            paused = run_operation("validations.run", many, alice)
        assert paused.state == "paused"
        from lro.runtime import control

        control.act("resume", paused.pk, "alice")
        run_due()
        assert report_of(Operation.objects.get(pk=paused.pk)) == wanted

    def test_and_retried_from_the_start_keeps_no_violation_twice(self, many: Any, alice: Any) -> None:
        wanted = report_of(run_operation("validations.run", many, alice))
        with cancel_after(checkpoints=3):
            operation = run_operation("validations.run", many, alice)
        from lro.runtime import control

        control.act("retry", operation.pk, "alice", source="start")
        run_due()
        assert report_of(Operation.objects.get(pk=operation.pk)) == wanted


def test_a_large_table_is_shared_out_among_children_with_the_same_report(
    many: Any, alice: Any, small_steps: None
) -> None:
    alone = run_operation("validations.run", many, alice)
    for rows_per_child in (20, 90):
        shared = run_operation("validations.run", {**many, "rows_per_child": rows_per_child}, alice)
        assert shared.children_total > 1
        assert report_of(shared) == report_of(alone)


def test_a_repeat_of_a_request_finds_its_operation_whatever_became_of_the_rule_set(client: Client, upload: Any) -> None:
    dataset = upload(PEOPLE)
    stored = client.post("/validations/rule-sets/", {"name": "p", "rules": RULES}, "application/json").json()
    data = {"dataset": dataset, "rule_set": stored["id"]}
    headers = {"Idempotency-Key": "k"}
    first = client.post("/validations/run", data, "application/json", headers=headers).json()
    client.put(f"/validations/rule-sets/{stored['id']}", {"name": "p", "rules": RULES[:1]}, "application/json")
    again = client.post("/validations/run", data, "application/json", headers=headers)
    assert again.status_code == 200, again.content
    assert again.json()["id"] == first["id"]
    assert Run.objects.count() == 0


def test_values_that_take_much_room_are_told_as_far_as_an_event_has_room(table: Any, validate: Any) -> None:
    rows = table(**{f"column {n}": ("string", ["\U0001f600" * 300] * 20) for n in range(12)})
    rules = [{"rule": "enum", "column": f"column {n}", "values": ["\U0001f601" * 400]} for n in range(12)]
    operation = validate(rows, rules, fail_on="error")
    assert operation["error"]["code"] == "validation_failed"
    assert Violation.objects.filter(operation_id=operation["id"]).count() == 240


def test_many_wide_rules_have_a_result_and_their_outcomes_are_in_the_report(
    client: Client, table: Any, validate: Any
) -> None:
    names = [f"a long name of a column, so that many of them are long {n}" for n in range(30)]
    rows = table(**{name: ("integer", [1, 1]) for name in names})
    rules = [{"rule": "unique", "columns": names, "severity": "warning", "id": f"{n:060}"} for n in range(100)]
    operation = validate(rows, rules)
    assert operation["state"] == "succeeded", operation["error"]
    assert (operation["result"]["verdict"], operation["result"]["failed"]) == ("warning", 100)
    assert len(operation["result"]["outcomes"]) < 100
    assert len(json.loads(artifact(client, operation, "report.json"))["outcomes"]) == 100
