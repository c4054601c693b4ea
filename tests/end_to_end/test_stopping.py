"""Stopping, with real processes: by a cancel that is not heard, by a deadline, by a deploy."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from lro.lifecycle import leases
from lro.models import Attempt, Operation
from tests.chaos.load import Load
from tests.end_to_end.stack import ALIAS, Stack
from tests.waiting import until

pytestmark = pytest.mark.slow


def start(stack: Stack, name: str, **data: Any) -> str:
    answer = stack.client().post(f"/{name.replace('.', '/')}", json=data)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def await_running(stack: Stack, identifier: str) -> int:
    """The process that runs it."""
    until(lambda: stack.state(identifier) == "running", what="it runs")
    return int(stack.operation(identifier).worker.rsplit("/", 1)[1])


@pytest.mark.parametrize(("verb", "ends"), [("cancel", "cancelled"), ("pause", "paused")])
def test_what_does_not_listen_to_a_stop_is_killed_after_its_grace_and_its_worker_lives_on(
    drained: Stack, verb: str, ends: str
) -> None:
    identifier = start(drained, "probe.deaf", seconds=600)
    worker, process = drained.pid("worker1"), await_running(drained, identifier)
    client = drained.client()
    client.post(f"/operations/{identifier}/{verb}")
    until(lambda: not leases.is_alive(process), what="its process is gone")
    assert drained.operation(identifier).state == ends
    assert drained.pid("worker1") == worker
    assert drained.await_end(start(drained, "probe.counts", to=3)).state == "succeeded"


def test_a_cancel_is_noticed_by_what_iterates_and_its_process_lives_on(drained: Stack) -> None:
    """In a fraction of its grace; how soon on a machine that does nothing else, `make reaction` tells."""
    identifier = start(drained, "probe.counts-on", to=100_000, seconds_each=0.01)
    process = await_running(drained, identifier)
    client = drained.client()
    client.post(f"/operations/{identifier}/cancel")
    assert drained.await_end(identifier, within=30).state == "cancelled"
    assert leases.is_alive(process)


def test_an_attempt_over_its_time_is_killed_and_the_operation_ends_by_its_deadline(drained: Stack) -> None:
    operation = drained.await_end(start(drained, "probe.hurried", seconds=60))
    assert operation.error["code"] in ("attempt_timeout", "deadline_exceeded")
    assert operation.attempts.using(ALIAS).first().outcome == "timed out"


def test_a_deploy_in_the_middle_loses_nothing_and_spends_no_attempt(drained: Stack) -> None:
    with drained.gate.holding_at(20):
        identifier = start(drained, "probe.saves", to=40)
        drained.await_progress(identifier, 20)
        replace_worker(drained)
    assert_interrupted_once(drained, identifier)


def test_what_comes_to_no_checkpoint_is_given_back_when_the_time_of_a_deploy_is_over(
    drained: Stack, tmp_path: Path
) -> None:
    identifier = start(drained, "probe.deaf", seconds=600, ends_by=str(tmp_path / "over"))
    await_running(drained, identifier)
    replace_worker(drained)
    (tmp_path / "over").touch()
    assert_interrupted_once(drained, identifier)


def replace_worker(stack: Stack) -> None:
    worker = stack.pid("worker1")
    os.kill(worker, signal.SIGTERM)
    until(lambda: stack.pid("worker1") != worker, what="a new worker")


def assert_interrupted_once(stack: Stack, identifier: str) -> None:
    operation = stack.await_end(identifier)
    assert (operation.state, operation.failures) == ("succeeded", 0)
    outcomes = list(operation.attempts.using(ALIAS).values_list("outcome", flat=True))
    assert outcomes == ["interrupted", "succeeded"]


def are_replaced(stack: Stack, before: dict[str, int]) -> bool:
    now = stack.run["processes"]
    return all(now.get(name, pid) != pid for name, pid in before.items())


def test_a_deploy_of_web_and_worker_under_load_loses_nothing_and_spends_no_attempt(drained: Stack) -> None:
    load = Load(drained, seed=1, count=150, per_second=10, kinds={"saves": 8, "splits": 1})
    load.start()
    for count in (3, 10):
        until(lambda count=count: len(load.accepted) >= count, what="requests are accepted")
        before = {name: drained.pid(name) for name in ("web", "worker1")}
        for pid in before.values():
            os.kill(pid, signal.SIGTERM)
        until(lambda before=before: are_replaced(drained, before), what="new processes")
    load.join()
    assert not load.problem
    for one in load.accepted:
        assert drained.await_end(one.id).state == "succeeded"
    family = Operation.objects.using(ALIAS).filter(root_id__in=[one.id for one in load.accepted])
    assert family.count() >= 150
    assert not family.exclude(failures=0, crashes=0).exists()
    outcomes = Attempt.objects.using(ALIAS).filter(operation__in=family).values_list("outcome", flat=True)
    assert set(outcomes) <= {"succeeded", "interrupted", "waiting"}
