"""What a request for a run is refused for: each with its status, its code, its place and the remedy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro import RejectItem
from lro.models import Operation
from lro.runtime import control, executor
from lro.testing import pause_after, strike
from migrations_app import planning
from migrations_app.models import Run
from tests.migrations_app.runs import finish, fresh, run, submit
from tests.probe.data_migrations import Counting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


def post(client: Client, **data: Any) -> Any:
    return client.post("/migrations/run", data, content_type="application/json")


def problem(answer: Any) -> tuple[int, str, str, str]:
    body = answer.json()
    pointer = body["errors"][0].get("pointer", "") if body["errors"] else ""
    return answer.status_code, body["code"], pointer, body["detail"]


def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the migration had been deployed anew, with another code."""
    monkeypatch.setattr(planning, "fingerprint", lambda migration: "0" * 64)


def test_a_run_is_an_operation_that_is_there_at_once(client: Client, things: Any) -> None:
    things(3)
    body = post(client, migration="probe.count").json()
    assert (body["name"], body["state"], body["tags"]) == ("migrations.run", "queued", ["migration:probe.count"])
    executor.execute(body["id"])
    assert client.get(f"/operations/{body['id']}").json()["result"]["changed"] == 3


def test_who_lacks_the_permission_may_neither_run_nor_look(bob: Any) -> None:
    client = Client(headers={"Authorization": f"Bearer {AccessToken.for_user(bob)}"})
    assert post(client, migration="probe.count").status_code == 403
    assert client.get("/migrations/").status_code == 403
    assert client.get("/migrations/plans/probe.count").status_code == 403
    assert client.post(f"/migrations/runs/{uuid4()}/confirm-code").status_code == 403


def test_an_unknown_migration_is_refused_with_the_one_that_was_meant(client: Client) -> None:
    status, code, pointer, detail = problem(post(client, migration="probe.cuont"))
    assert (status, code, pointer) == (422, "unknown_migration", "/migration")
    assert "Did you mean probe.count?" in detail


def test_the_same_checks_answer_without_an_operation(client: Client) -> None:
    answer = client.post(
        "/migrations/run?validate_only=true", {"migration": "no.such"}, content_type="application/json"
    )
    assert problem(answer)[:2] == (422, "unknown_migration")
    good = client.post(
        "/migrations/run?validate_only=true", {"migration": "probe.count"}, content_type="application/json"
    )
    assert good.json() == {"valid": True}


def test_an_unknown_step_is_refused_by_its_place(client: Client) -> None:
    answer = post(client, migration="probe.name-and-count", steps=["name", "nmae"])
    assert problem(answer)[:3] == (422, "unknown_step", "/steps/1")
    assert "count-named, name" in problem(answer)[3]


def test_an_unknown_parameter_is_refused(client: Client, clerk: Any) -> None:
    run(clerk, "probe.count")
    answer = post(client, migration="probe.write", parameters={"text": "a", "tmies": 2})
    assert problem(answer)[:3] == (422, "unknown_parameter", "/parameters/tmies")
    assert "Did you mean times?" in problem(answer)[3]
    answer = post(client, migration="probe.count", parameters={"text": "a"})
    assert problem(answer)[:3] == (422, "unknown_parameter", "/parameters/text")


def test_parameters_that_do_not_fit_are_refused_each_by_its_place(client: Client) -> None:
    answer = post(client, migration="probe.write", parameters={"text": "too long", "times": 10})
    assert problem(answer)[:2] == (422, "invalid_parameters")
    assert {each["pointer"] for each in answer.json()["errors"]} == {"/parameters/text", "/parameters/times"}
    answer = post(client, migration="probe.write")
    assert problem(answer)[:3] == (422, "invalid_parameters", "/parameters/text")


@pytest.mark.parametrize(
    ("name", "value"),
    [("shards", 0), ("shards", 65), ("max_errors", -1), ("pause", 61), ("pause", -1), ("reverse", "x"), ("steps", "y")],
)
def test_numbers_out_of_range_are_refused(client: Client, name: str, value: Any) -> None:
    answer = post(client, **{"migration": "probe.count", name: value})
    assert problem(answer)[:3] == (400, "invalid", f"/{name}")


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"reverse": str(uuid4()), "retry_rejects": str(uuid4())}, "/reverse"),
        ({"reverse": str(uuid4()), "steps": ["count"]}, "/steps"),
        ({"reverse": str(uuid4()), "dry_run": True}, "/dry_run"),
        ({"retry_rejects": str(uuid4()), "steps": ["count"]}, "/steps"),
        ({"dry_run": True, "shards": 2}, "/shards"),
        ({"reverse": str(uuid4()), "shards": 2}, "/shards"),
    ],
)
def test_what_contradicts_itself_is_refused(client: Client, data: dict[str, Any], pointer: str) -> None:
    assert problem(post(client, migration="probe.count", **data))[:3] == (422, "conflicting_input", pointer)


def test_what_depends_on_another_waits_for_it(client: Client, clerk: Any, things: Any) -> None:
    things(2)
    wanted = {"migration": "probe.write", "parameters": {"text": "a"}}
    status, code, pointer, detail = problem(post(client, **wanted))
    assert (status, code, pointer) == (409, "dependencies_pending", "/migration")
    assert "Run the data migration probe.count first." in detail
    run(clerk, "probe.count", dry_run=True)
    assert problem(post(client, **wanted))[1] == "dependencies_pending"
    first = run(clerk, "probe.count")
    assert client.post("/migrations/run?validate_only=true", wanted, content_type="application/json").status_code == 200
    run(clerk, "probe.count", reverse=str(first.pk))
    assert problem(post(client, **wanted))[1] == "dependencies_pending"


def test_a_schema_migration_that_is_not_applied_is_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "requires", (("probe", "9999_later"),))
    status, code, _, detail = problem(post(client, migration="probe.count"))
    assert (status, code) == (409, "dependencies_pending")
    assert "manage.py migrate probe 9999_later" in detail


def test_a_migration_runs_once_at_a_time(client: Client, clerk: Any, things: Any, small_batches: None) -> None:
    things(12)
    with pause_after(checkpoints=2):
        operation = run(clerk, "probe.count")
    status, code, pointer, detail = problem(post(client, migration="probe.count"))
    assert (status, code, pointer) == (409, "already_running", "/migration")
    assert f"probe.count is paused already, started by alice: operation {operation.pk}." in detail
    answer = post(client, migration="probe.count", retry_rejects=str(operation.pk))
    assert problem(answer)[:3] == (409, "already_running", "/retry_rejects")
    control.act("cancel", operation.pk, "alice")
    assert post(client, migration="probe.count").status_code == 200


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="one writes at a time, so there is no such moment")
def test_of_two_requests_at_the_same_moment_one_is_told_that_it_runs_already(client: Client, admin_user: Any) -> None:
    def be_quicker() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(submit_elsewhere).result()

    def submit_elsewhere() -> None:
        try:
            submit(admin_user, "probe.count")
        finally:
            connection.close()

    with strike("transitions.submit", be_quicker):
        answer = post(client, migration="probe.count")
    assert problem(answer)[:3] == (409, "already_running", "/migration")
    assert Operation.objects.count() == 1


def test_a_repeated_request_is_answered_as_before_whatever_has_changed(
    client: Client, things: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(key: str, **data: Any) -> Any:
        return client.post(
            "/migrations/run",
            {"migration": "probe.count", **data},
            content_type="application/json",
            headers={"Idempotency-Key": key},
        ).json()["id"]

    things(2)
    first = ask("run")
    assert ask("run") == first  # it is active
    executor.execute(first)
    back = ask("back", reverse=first)
    executor.execute(back)
    changed(monkeypatch)
    assert (ask("run"), ask("back", reverse=first)) == (first, back)


def test_a_run_is_not_taken_up_again_beside_another_one(client: Client, clerk: Any, things: Any) -> None:
    things(2)
    first = submit(clerk, "probe.count")
    control.act("cancel", first.pk, "alice")
    submit(clerk, "probe.count")
    answer = client.post(f"/operations/{first.pk}/retry")
    assert problem(answer)[:2] == (409, "already_running")


def test_a_run_that_is_not_there_is_neither_reversed_nor_retried(client: Client, clerk: Any) -> None:
    other = run(clerk, "probe.mark")
    for kind in ("reverse", "retry_rejects"):
        for identifier in (uuid4(), other.pk):
            answer = post(client, **{"migration": "probe.count", kind: str(identifier)})
            assert problem(answer)[:3] == (422, "unknown_run", f"/{kind}")


def test_what_kept_nothing_and_has_no_reverse_is_not_reversed(client: Client, clerk: Any, things: Any) -> None:
    things(2)
    operation = run(clerk, "probe.mark")
    answer = post(client, migration="probe.mark", reverse=str(operation.pk))
    assert problem(answer)[:3] == (422, "not_reversible", "/reverse")


def test_nothing_is_reversed_twice_and_no_reverse_is_reversed(client: Client, clerk: Any, things: Any) -> None:
    things(2)
    first = run(clerk, "probe.name-and-count")
    back = run(clerk, "probe.name-and-count", reverse=str(first.pk))
    answer = post(client, migration="probe.name-and-count", reverse=str(first.pk))
    assert problem(answer)[:3] == (409, "already_reversed", "/reverse")
    answer = post(client, migration="probe.name-and-count", reverse=str(back.pk))
    assert problem(answer)[:3] == (422, "not_reversible", "/reverse")
    answer = post(client, migration="probe.name-and-count", retry_rejects=str(back.pk))
    assert problem(answer)[:3] == (422, "nothing_to_retry", "/retry_rejects")


def test_without_rejects_there_is_nothing_to_retry(client: Client, clerk: Any, things: Any) -> None:
    things(2)
    operation = run(clerk, "probe.count")
    answer = post(client, migration="probe.count", retry_rejects=str(operation.pk))
    assert problem(answer)[:3] == (422, "nothing_to_retry", "/retry_rejects")


# Code that was changed


def test_a_run_does_not_go_on_with_other_code_unless_somebody_confirms_it(
    client: Client, clerk: Any, things: Any, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    things(12)
    with pause_after(checkpoints=2):
        operation = run(clerk, "probe.count")
    changed(monkeypatch)
    status, code, _, detail = problem(client.post(f"/operations/{operation.pk}/resume"))
    assert (status, code) == (409, "code_changed")
    assert f"POST /migrations/runs/{operation.pk}/confirm-code" in detail
    assert fresh(operation).state == "paused"
    confirmed = client.post(f"/migrations/runs/{operation.pk}/confirm-code").json()
    assert (confirmed["confirmed_by"], confirmed["state"]) == ("alice", "paused")
    assert client.post(f"/operations/{operation.pk}/resume").status_code == 200
    assert finish(operation).state == "succeeded"


def test_a_worker_that_has_other_code_stops_the_run_before_it_changes_anything(
    client: Client, clerk: Any, things: Any, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    things(12)
    operation = submit(clerk, "probe.count")
    Run.objects.create(operation_id=operation.pk, migration="probe.count", kind="run", code=operation.input["code"])
    changed(monkeypatch)
    executor.execute(operation.pk)
    assert (fresh(operation).state, fresh(operation).error["code"]) == ("failed", "code_changed")
    assert problem(client.post(f"/operations/{operation.pk}/retry"))[:2] == (409, "code_changed")
    client.post(f"/migrations/runs/{operation.pk}/confirm-code")
    assert client.post(f"/operations/{operation.pk}/retry").status_code == 200
    assert finish(operation).state == "succeeded"


def test_what_was_rejected_by_other_code_is_retried_when_that_is_known(
    client: Client, clerk: Any, things: Any, hurting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = things(4)

    def hurt(step: Any, thing: Any) -> None:
        if thing.pk == keys[0]:
            raise RejectItem("unlucky", "It is unlucky.")

    hurting(hurt)
    operation = run(clerk, "probe.count")
    hurting(lambda step, thing: None)
    changed(monkeypatch)
    wanted = {"migration": "probe.count", "retry_rejects": str(operation.pk)}
    assert problem(post(client, **wanted))[:3] == (409, "code_changed", "/confirm_code_change")
    answer = post(client, **wanted, confirm_code_change=True)
    assert finish(fresh_by_id(answer.json()["id"])).result["changed"] == 1


def test_a_reverse_by_code_wants_the_same_code_and_one_by_old_values_needs_none(
    client: Client, clerk: Any, things: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    things(2)
    by_code, by_values = run(clerk, "probe.count"), run(clerk, "probe.name-and-count")
    changed(monkeypatch)
    answer = post(client, migration="probe.count", reverse=str(by_code.pk))
    assert problem(answer)[:3] == (409, "code_changed", "/confirm_code_change")
    assert post(client, migration="probe.name-and-count", reverse=str(by_values.pk)).status_code == 200


def fresh_by_id(identifier: str) -> Any:
    from lro.models import Operation

    return Operation.objects.get(pk=identifier)
