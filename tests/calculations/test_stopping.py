"""Stop and keep: a calculation ends with the answer that it has by then, marked as such."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from lro.models import Operation
from lro.runtime import control, executor, resources
from lro.runtime.context import OperationContext
from lro.testing import run_attempt, run_due
from tests.calculations.conftest import client_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

OPTION = {"spot": 100, "strike": 105, "volatility": 0.2, "maturity": 1}


def stop(client: Client, identifier: Any) -> Any:
    return client.post(f"/calculations/{identifier}/stop")


@pytest.fixture
def stopped_after(client: Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A person asks for the answer once so many blocks are computed, in whichever operation."""
    monkeypatch.setattr("calculations.block_loop.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("calculations.pace._SHARE", float("inf"))
    whole = OperationContext.progress
    calls: list[Any] = []

    def after(blocks: int) -> None:
        def progress(op: OperationContext, *args: Any, **options: Any) -> None:
            whole(op, *args, **options)
            calls.append(op.id)
            if len(calls) == blocks:
                root = Operation.objects.get(pk=op.id).root_id
                assert stop(client, root).json()["stopping"] is True

        monkeypatch.setattr(OperationContext, "progress", progress)

    return after


def test_it_answers_with_what_was_computed(result: Any, stopped_after: Any) -> None:
    stopped_after(10)
    found = result("monte-carlo", option=OPTION, paths=64_000, block_paths=1024, seed=4)
    assert found["stopped_early"]
    assert not found["converged"]
    assert found["paths"] == 10 * 1024
    assert result("monte-carlo", option=OPTION, paths=10 * 1024, block_paths=1024, seed=4)["price"] == found["price"]


def test_children_stop_too_and_their_parent_adds_up_what_they_have(result: Any, stopped_after: Any) -> None:
    stopped_after(6)
    found = result("monte-carlo", option=OPTION, paths=64_000, block_paths=1024, seed=4, shards=4)
    assert found["stopped_early"]
    assert found["paths"] == (4 + 1 + 1 + 1) * 1024  # the first had done its share; the others compute a block each


def test_a_wish_that_comes_before_the_first_block_gives_the_answer_of_one(client: Client, alice: Any) -> None:
    data = {"option": OPTION, "paths": 64_000, "block_paths": 1024, "shards": 2}
    operation = run_attempt("calculations.monte-carlo", data, alice)
    assert operation.state == "waiting"
    assert stop(client, operation.pk).status_code == 200
    assert stop(client, operation.pk).status_code == 200  # a repeat is harmless
    run_due()
    assert Operation.objects.get(pk=operation.pk).result["paths"] == 2 * 1024


@pytest.mark.parametrize("source", ["start", "checkpoint"])
def test_a_retry_by_hand_wants_the_whole_answer(client: Client, alice: Any, source: str) -> None:
    data = {"option": OPTION, "paths": 64_000, "block_paths": 1024, "shards": 2}
    operation = run_attempt("calculations.monte-carlo", data, alice)
    assert stop(client, operation.pk).status_code == 200
    control.act("cancel", operation.pk, "alice")
    run_due()
    control.retry(operation.pk, "alice", source=source)
    run_due()
    resources.release_left()
    found = Operation.objects.get(pk=operation.pk).result
    assert not found["stopped_early"]
    assert found["paths"] == 63 * 1024


def test_a_retry_by_hand_can_be_stopped_again(client: Client, alice: Any) -> None:
    data = {"option": OPTION, "paths": 64_000, "block_paths": 1024, "shards": 2}
    operation = run_attempt("calculations.monte-carlo", data, alice)
    stop(client, operation.pk)
    control.act("cancel", operation.pk, "alice")
    run_due()
    control.retry(operation.pk, "alice", source="start")
    executor.execute(operation.pk)
    assert stop(client, operation.pk).status_code == 200
    run_due()
    resources.release_left()
    assert Operation.objects.get(pk=operation.pk).result["stopped_early"]


def test_one_that_has_not_begun_or_has_ended_is_not_stopped(client: Client, post: Any) -> None:
    identifier = post("monte-carlo", option=OPTION, paths=1000).json()["id"]
    answer = stop(client, identifier)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_allowed_now")
    run_due()
    answer = stop(client, identifier)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_allowed_now")
    assert "is succeeded" in answer.json()["detail"]


def test_what_is_anothers_or_no_calculation_is_not_found(client: Client, bob: Any, alice: Any, post: Any) -> None:
    operation = run_attempt("calculations.monte-carlo", {"option": OPTION, "shards": 2}, alice)
    assert stop(client_of(bob), operation.pk).status_code == 404
    assert stop(client, uuid4()).status_code == 404
    other = run_attempt("probe.counts", {"to": 1}, alice)
    assert stop(client, other.pk).status_code == 404
    assert stop(Client(), operation.pk).status_code == 401
    run_due()


def test_whoever_may_only_look_may_not_stop(alice: Any, bob: Any) -> None:
    from django.contrib.auth.models import Permission

    operation = run_attempt("calculations.monte-carlo", {"option": OPTION, "shards": 2}, alice)
    bob.user_permissions.add(Permission.objects.get(codename="view_all_operations"))
    assert stop(client_of(bob), operation.pk).status_code == 404
    bob.user_permissions.add(Permission.objects.get(codename="cancel_operation"))
    assert stop(client_of(bob), operation.pk).status_code == 200
    run_due()


def test_deleting_the_operation_forgets_the_wish(client: Client, alice: Any) -> None:
    from calculations.models import EarlyEnd

    operation = run_attempt("calculations.monte-carlo", {"option": OPTION, "shards": 2}, alice)
    stop(client, operation.pk)
    run_due()
    assert client.delete(f"/operations/{operation.pk}").status_code == 204
    assert not EarlyEnd.objects.exists()
