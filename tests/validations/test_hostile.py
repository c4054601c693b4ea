"""Documents and data that mean no good, or are at the edge of what can be: refused or judged, never a crash."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from django.db import connection
from django.test import Client

from lro.models import Operation
from lro.testing import run_due
from validations import batches
from validations.keys import keys_of
from validations.models import Run
from validations.references import held_while_reading
from validations.repeats import HashFile
from validations.rule_documents import read_rules

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files")]

FAR = 10_000_000  # days since 1970: a year that no date of Python has
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "U+0000": ("wrong_type", {"rule": "required", "column": "name", "name": "a\0b"}),
    "half a pair": ("wrong_type", {"rule": "enum", "column": "name", "values": ["a\ud800"]}),
    "half a pair in a key": ("wrong_type", {"rule": "required", "column": "name", "a\ud800": 1}),
    "a bound beyond floats": ("bad_bound", {"rule": "minimum", "column": "age", "minimum": 10**400}),
    "a value beyond floats": ("wrong_type", {"rule": "enum", "column": "age", "values": [10**400]}),
    "a length beyond 64 bits": ("bad_bound", {"rule": "length", "column": "name", "minimum": 10**400}),
    "a threshold beyond floats": ("bad_threshold", {"rule": "required", "column": "name", "threshold": 10**400}),
    "a column twice": ("wrong_type", {"rule": "unique", "columns": ["age", "age"]}),
    "a long key": ("unknown_field", {"rule": "required", "column": "name", "k" * 1000: 1}),
    "a long kind": ("unknown_rule", {"rule": "k" * 100_000}),
}


@pytest.mark.parametrize("form", ["rules", "rules_yaml"])
@pytest.mark.parametrize(("code", "rule"), RULES.values(), ids=RULES)
def test_a_rule_that_nothing_can_hold_is_refused_in_few_words(
    client: Client, code: str, rule: dict[str, Any], form: str
) -> None:
    rules = [rule] if form == "rules" else json.dumps([rule])
    answer = client.post("/validations/rule-sets/", json.dumps({"name": "x", form: rules}), "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert len(answer.content) < 2_500


def test_not_a_number_in_yaml_is_refused(client: Client) -> None:
    body = {"name": "x", "rules_yaml": "- {rule: enum, column: a, values: [.nan]}"}
    answer = client.post("/validations/rule-sets/", body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_type")


def test_a_moment_after_the_end_of_time_is_refused(client: Client, table: Any) -> None:
    rules = [{"rule": "maximum", "column": "born", "maximum": "today+7d"}]
    data = {"dataset": str(table(born=("date", [None])).id), "rules": rules, "as_of": "9999-12-31T00:00:00Z"}
    answer = client.post("/validations/run", data, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_bound")


def test_an_age_beyond_the_beginning_of_time_is_always_fresh(table: Any, validate: Any) -> None:
    rules = [{"rule": "freshness", "column": "born", "max_age": "999999w"}]
    assert validate(table(born=("date", [date(1, 1, 1)])), rules)["result"]["verdict"] == "passed"


@pytest.mark.parametrize("values", [[1.0, float("nan")], [1.0, float("inf")], [1e308] * 10])
def test_a_mean_of_what_has_no_sum_is_errored(table: Any, validate: Any, values: list[float]) -> None:
    rules = [{"rule": "mean", "column": "price", "minimum": 0}, {"rule": "required", "column": "price"}]
    operation = validate(table(price=("number", values)), rules)
    assert operation["state"] == "succeeded", operation["error"]
    mean, required = operation["result"]["outcomes"]
    assert (mean["status"], required["status"]) == ("errored", "passed")
    assert mean["message"].startswith("The sum is not finite")


def test_years_that_python_does_not_know_are_judged_and_shown(table: Any, validate: Any) -> None:
    rules = [{"rule": "maximum", "column": "born", "maximum": "2020-01-01"}, {"rule": "unique", "column": "born"}]
    rules.append({"rule": "freshness", "column": "born", "max_age": "7d"})
    operation = validate(table(born=("date", [FAR, FAR])), rules)
    assert operation["state"] == "succeeded", operation["error"]
    found = [(each["status"], each["failed"]) for each in operation["result"]["outcomes"]]
    assert found == [("failed", 2), ("failed", 1), ("errored", 0)]


@pytest.mark.parametrize(
    "column", [("number", [1.0, float("nan")]), ("number", [1.0, float("inf")]), ("date", [FAR, FAR + 1])]
)
def test_what_no_bound_can_name_is_profiled_without_one(client: Client, table: Any, column: Any) -> None:
    dataset = str(table(part=1, value=column).id)
    answer = client.post("/validations/profile", {"dataset": dataset, "save_as": "x"}, "application/json")
    run_due()
    operation = client.get(f"/operations/{answer.json()['id']}").json()
    assert operation["state"] == "succeeded", operation["error"]
    assert {rule["rule"] for rule in operation["result"]["rules"]} <= {"row_count", "type", "required", "unique"}


def test_a_rule_set_that_is_deleted_meanwhile_has_no_run_of_it(client: Client, table: Any) -> None:
    rules = {"name": "x", "rules": [{"rule": "required", "column": "age"}]}
    rule_set = client.post("/validations/rule-sets/", rules, "application/json").json()["id"]
    data = {"dataset": str(table(age=("integer", [1])).id), "rule_set": rule_set}
    operation = client.post("/validations/run", data, "application/json").json()["id"]
    assert client.delete(f"/validations/rule-sets/{rule_set}").status_code == 204
    run_due()
    assert Operation.objects.get(pk=operation).state == "succeeded"
    assert not Run.objects.exists()
    connection.check_constraints()


def test_small_rules_about_repeats_are_told_together(table: Any, validate: Any, client: Client) -> None:
    """A checkpoint and an event for each of them would be hundreds in a second."""
    columns = {f"c{index}": ("integer", [1, 1]) for index in range(100)}
    operation = validate(table(**columns), [{"rule": "unique", "column": name} for name in columns])
    assert operation["result"]["failed"] == 100
    events = client.get(f"/operations/{operation['id']}/events/?limit=500").json()["results"]
    assert sum(each["kind"] == "validations.violation" for each in events) < 10


def test_times_on_the_full_second_are_dealt_out_to_all_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validations.repeats.HELD_HASHES", 1000)
    frame = pl.DataFrame({"at": pl.Series(np.arange(4000) * 1_000_000).cast(pl.Datetime("us"))})
    file = HashFile(tmp_path / "hashes", [pl.Datetime("us")])
    file.add(keys_of(frame, ["at"], 1, keeps_nulls=False))
    sizes = [len(values) for _, values in file._buckets(lambda: None)]
    assert sum(sizes) == 4000
    assert max(sizes) < 1200


def test_the_keys_of_many_foreign_keys_are_held_as_far_as_there_is_room(
    table: Any, validate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million of each of thirty would be gigabytes."""
    monkeypatch.setattr("validations.references.HELD_KEYS", 5)
    others = [table(id=("integer", list(range(size)))) for size in (3, 3, 2, 7)]
    rules = [
        {"rule": "foreign_key", "column": "to", "dataset": str(other.id), "references": "id", "id": f"of-{index}"}
        for index, other in enumerate(others)
    ]
    assert held_while_reading(read_rules(rules)) == {"of-0", "of-2"}
    operation = validate(table(to=("integer", list(range(10)))), rules)
    assert [each["failed"] for each in operation["result"]["outcomes"]] == [7, 7, 8, 3]


def test_a_batch_of_long_texts_is_no_larger_than_others() -> None:
    """In blocks of 4 MiB rows of 1 KB are 4,000 a part; 200,000 of them would be 200 MB."""
    found = batches.batches_of([4000] * 100, 1)
    assert max(len(batch.parts) for batch in found) == 16
    assert sum(batch.rows for batch in found) == 400_000
