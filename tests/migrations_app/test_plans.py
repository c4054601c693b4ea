"""The plan is shown before it runs, and the history afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from lro.testing import pause_after
from tests.migrations_app.runs import run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


def listed(client: Client, name: str) -> dict[str, Any]:
    rows = client.get("/migrations/").json()["results"]
    return next(row for row in rows if row["name"] == name)


def test_a_plan_says_what_would_be_done_in_which_order(client: Client, things: Any) -> None:
    things(40)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    plan = client.get("/migrations/plans/probe.name-and-count").json()
    assert (plan["state"], plan["reversible"], plan["keeps_old_values"], plan["pending"]) == (
        "never_run",
        True,
        True,
        [],
    )
    assert plan["about"].startswith("Two steps")
    assert [(s["name"], s["after"], s["rows"], s["reversible"]) for s in plan["steps"]] == [
        ("name", [], 40, True),
        ("count-named", ["name"], 40, True),
    ]


def test_a_plan_tells_of_parameters_and_of_what_is_missing(client: Client, things: Any) -> None:
    things(3)
    plan = client.get("/migrations/plans/probe.write").json()
    assert [(each["name"], each["required"]) for each in plan["parameters"]] == [("text", True), ("times", False)]
    assert (plan["reversible"], plan["steps"][0]["rows"]) == (False, None)
    assert plan["pending"][0]["name"] == "probe.count"
    plan = client.get("/migrations/plans/probe.write", {"parameters": '{"text": "a"}'}).json()
    assert plan["steps"][0]["rows"] is not None


def test_what_is_no_plan_is_refused(client: Client) -> None:
    assert client.get("/migrations/plans/no.such").status_code == 404
    answer = client.get("/migrations/plans/probe.write", {"parameters": "[1]"})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (400, "parameters")


def test_the_list_tells_how_far_each_has_come(client: Client, clerk: Any, things: Any, small_batches: None) -> None:
    things(12)
    assert listed(client, "probe.count")["state"] == "never_run"
    with pause_after(checkpoints=2):
        operation = run(clerk, "probe.count")
    assert (listed(client, "probe.count")["state"], listed(client, "probe.count")["operation"]) == (
        "running",
        str(operation.pk),
    )
    client.post(f"/operations/{operation.pk}/cancel")
    assert listed(client, "probe.count")["state"] == "cancelled"
    first = run(clerk, "probe.count")
    assert listed(client, "probe.count")["state"] == "completed"
    run(clerk, "probe.count", reverse=str(first.pk))
    assert listed(client, "probe.count")["state"] == "reversed"
    run(clerk, "probe.name-and-count", steps=["name"])
    assert listed(client, "probe.name-and-count")["state"] == "partial"


def test_a_run_that_fails_is_shown_as_failed(client: Client, clerk: Any, things: Any, hurting: Any) -> None:
    things(3)

    def hurt(step: Any, thing: Any) -> None:
        raise ValueError("bad")

    hurting(hurt)
    run(clerk, "probe.count", max_errors=0)
    assert listed(client, "probe.count")["state"] == "failed"


def test_the_history_says_who_ran_what_and_when(client: Client, clerk: Any, things: Any) -> None:
    things(3)
    first = run(clerk, "probe.count")
    back = run(clerk, "probe.count", reverse=str(first.pk))
    history = client.get("/migrations/plans/probe.count").json()["history"]
    assert [(r["id"], r["kind"], r["state"], r["of"], r["owner"]) for r in history] == [
        (str(back.pk), "reverse", "succeeded", str(first.pk), "alice"),
        (str(first.pk), "run", "succeeded", None, "alice"),
    ]
    assert history[1]["result"]["changed"] == 3
    assert history[1]["finished_at"] >= history[1]["started_at"]


def test_a_dry_run_is_not_history(client: Client, clerk: Any, things: Any) -> None:
    things(3)
    run(clerk, "probe.count", dry_run=True)
    assert client.get("/migrations/plans/probe.count").json()["history"] == []
    assert listed(client, "probe.count")["state"] == "never_run"


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ('{"dataset": "x"}', "invalid_parameters", "/parameters/dataset"),
        ('{"dataset": null}', "invalid_parameters", "/parameters/dataset"),
        ('{"dataset": "01a21759-dee3-7034-afc9-5d07200539ca"}', "unknown_dataset", "/parameters/dataset"),
        ('{"no": 5}', "unknown_parameter", "/parameters/no"),
    ],
)
def test_a_plan_is_not_made_of_parameters_that_a_run_would_refuse(
    client: Client, given: str, code: str, pointer: str
) -> None:
    answer = client.get("/migrations/plans/airports.load", {"parameters": given})
    body = answer.json()
    assert (answer.status_code, body["code"], body["errors"][0]["pointer"]) == (422, code, pointer)


def test_a_plan_counts_nothing_where_a_parameter_is_needed(client: Client) -> None:
    assert client.get("/migrations/plans/airports.load").json()["steps"][0]["rows"] is None
