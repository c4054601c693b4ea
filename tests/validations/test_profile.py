"""`validations.profile` proposes rules from a dataset, which passes them all."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lro.testing import crash_after, run_due, run_operation
from tests.validations.tables import known
from tests.validations.test_oracle import ROWS, memory_table
from validations import batches, profiling
from validations.models import RuleSet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files")]

CONTENT = (
    "id,mail,team,born,score,note\n"
    "1,a@b.org,red,2001-02-03,1.5,\n"
    "2,c@d.org,blue,2002-03-04,2.5,x\n"
    "3,e@f.org,red,1999-01-01,2.5,\n"
    "4,g@h.org,red,2000-01-01,0.5,yy\n"
    "5,i@j.org,blue,2000-01-01,0.5,\n"
    "6,k@l.org,blue,2000-01-01,0.5,zzz\n"
)


@pytest.fixture
def profile(client: Client) -> Any:
    def profiled(dataset: Any, **wanted: Any) -> Any:
        data = {"dataset": str(dataset), **wanted}
        answer = client.post("/validations/profile", data, content_type="application/json")
        assert answer.status_code == 200, answer.content
        run_due()
        return client.get(f"/operations/{answer.json()['id']}").json()

    return profiled


def test_types_needs_keys_enumerations_ranges_lengths_and_shapes_are_proposed(upload: Any, profile: Any) -> None:
    operation = profile(upload(CONTENT))
    assert operation["state"] == "succeeded", operation["error"]
    proposed = [{k: v for k, v in rule.items() if k != "severity"} for rule in operation["result"]["rules"]]
    assert proposed == [
        {"rule": "row_count", "minimum": 1},
        {"rule": "type", "column": "id", "type": "integer"},
        {"rule": "required", "column": "id"},
        {"rule": "unique", "column": "id"},
        {"rule": "required", "column": "mail"},
        {"rule": "unique", "column": "mail"},
        {"rule": "length", "column": "mail", "minimum": 7, "maximum": 7},
        {"rule": "pattern", "column": "mail", "pattern": r"[^@\s]+@[^@\s]+\.[^@\s]+"},
        {"rule": "required", "column": "team"},
        {"rule": "enum", "column": "team", "values": ["blue", "red"]},
        {"rule": "type", "column": "born", "type": "date"},
        {"rule": "required", "column": "born"},
        {"rule": "date_range", "column": "born", "minimum": "1999-01-01", "maximum": "2002-03-04"},
        {"rule": "type", "column": "score", "type": "number"},
        {"rule": "required", "column": "score"},
        {"rule": "between", "column": "score", "minimum": 0.5, "maximum": 2.5},
        {"rule": "null_share", "column": "note", "maximum": 0.5},
        {"rule": "unique", "column": "note"},
        {"rule": "length", "column": "note", "minimum": 1, "maximum": 3},
        {"rule": "pattern", "column": "note", "pattern": "[A-Za-z_][A-Za-z0-9_]*"},
    ]


def test_what_is_proposed_can_be_stored_and_is_passed(upload: Any, profile: Any, validate: Any) -> None:
    dataset = upload(CONTENT)
    stored = profile(dataset, save_as="people")["result"]["rule_set"]
    assert RuleSet.objects.get(pk=stored).name == "people"
    result = validate(dataset, rule_set=stored)["result"]
    assert (result["verdict"], result["failed"], result["errored"]) == ("passed", 0, 0)


def test_stored_again_it_is_the_same_version_until_the_data_are_others(upload: Any, profile: Any) -> None:
    for content, version in ((CONTENT, 1), (CONTENT, 1), (CONTENT + "7,m@n.org,green,2000-01-01,9,\n", 2)):
        stored = profile(upload(content), save_as="people")["result"]["rule_set"]
        assert RuleSet.objects.get(pk=stored).version == version


def test_a_profile_that_is_killed_at_every_checkpoint_proposes_the_same(
    upload: Any, alice: Any, monkeypatch: pytest.MonkeyPatch, table: Any
) -> None:
    monkeypatch.setattr(batches, "BATCH_CELLS", 8)
    monkeypatch.setattr(profiling, "CHECKPOINT_SECONDS", 0.0)
    rows = table(part=3, n=("integer", list(range(30))), s=("string", [f"k{n % 29}" for n in range(30)]))
    data = {"dataset": str(rows.id), "save_as": "mine"}
    whole = run_operation("validations.profile", data, alice)
    assert whole.state == "succeeded", whole.error
    assert [column["unique"] for column in whole.result["columns"]] == [True, False]
    for number in range(1, whole.checkpoints + 1):
        with crash_after(checkpoints=number):
            operation = run_operation("validations.profile", data, alice)
        assert (number, operation.result) == (number, whole.result)
    assert RuleSet.objects.get().version == 1


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, part=st.integers(1, 25))
def test_whatever_the_table_it_passes_what_it_proposed(alice: Any, rows: Any, part: int) -> None:
    table = memory_table(rows, part)
    with known(table), pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "BATCH_CELLS", 30)
        profile = run_operation("validations.profile", {"dataset": str(table.id)}, alice)
        assert profile.state == "succeeded", profile.error
        if rules := profile.result["rules"]:
            run = run_operation("validations.run", {"dataset": str(table.id), "rules": rules}, alice)
            bad = [each for each in run.result["outcomes"] if each["status"] != "passed"]
            assert (run.result["verdict"], bad) == ("passed", [])
