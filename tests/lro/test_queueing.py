"""Wakes: lost, doubled or late, they do no harm, and they do not pile up."""

from __future__ import annotations

import gc
import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app, signals
from django.db.models.functions import Now

from lro import tasks
from lro.lifecycle import retries, transitions
from lro.models import Operation
from lro.runtime import control, executor, queueing, reconciler, submission
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


def submit(owner: Any) -> Operation:
    return submission.submit("probe.counts", {"to": 1}, owner).operation


def test_the_length_of_a_queue_is_that_of_the_broker(alice: Any, queue: str) -> None:
    assert queueing.length(queue) == 0
    operation = submit(alice)
    until(lambda: queueing.length(queue) == 1, what="its wake has come")
    queueing.wake_now(operation)
    assert queueing.length(queue) == 2
    executor.execute(operation.pk)


def test_wakes_that_may_be_lost_are_sent_again_up_to_a_full_queue_and_no_further(
    alice: Any, queue: str, settings: Any
) -> None:
    settings.LRO = {"BATCH_SIZE": 4, "REWAKE_SECONDS": 0}
    for _ in range(3):
        submit(alice)
    until(lambda: queueing.length(queue) == 3, what="their wakes have come")
    for _ in range(5):
        reconciler.reconcile([reconciler.wake_forgotten])
    assert queueing.length(queue) == 4
    for operation in Operation.objects.all():
        executor.execute(operation.pk)


def test_no_rescue_waits_for_a_broker_that_stalls(
    alice: Any, settings: Any, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LRO = {"RECONCILE_SECONDS": 0.1, "REWAKE_SECONDS": 0}
    operations = [submit(alice) for _ in range(20)]
    mine, tried = threading.get_ident(), list[Any]()
    until(lambda: queueing.length(queue) == 20, what="their wakes have come")

    def stall(operation: Operation) -> bool:
        if threading.get_ident() == mine:
            tried.append(operation.pk)
            time.sleep(0.06)
        return False

    monkeypatch.setattr(queueing, "send", stall)
    reconciler.wake_forgotten()
    assert len(tried) == 2
    for operation in operations:
        held = transitions.claim(operation.pk, "w")
        assert held is not None
        transitions.retry(held, retries.lost("gone"), timedelta())
    assert reconciler.requeue_due() == 20
    assert len(tried) == 2, "another thread sends them"
    for operation in operations:
        executor.execute(operation.pk)


def test_a_wake_that_comes_too_late_stands_for_what_is_due_by_now(alice: Any) -> None:
    first, second = submit(alice), submit(alice)
    executor.execute(first.pk)
    executor.work_off(first.pk)
    second.refresh_from_db()
    assert second.state == "succeeded"


def test_a_wake_of_a_deleted_operation_does_no_harm(alice: Any) -> None:
    operation = submit(alice)
    other = Operation.objects.filter(pk=operation.pk)
    other.update(run_at=Now())
    executor.execute(operation.pk)
    other.delete()
    executor.work_off(operation.pk)


def test_a_worker_of_an_older_version_leaves_to_others_what_it_does_not_know(alice: Any) -> None:
    foreign = [submit(alice) for _ in range(6)]  # more than are looked at
    Operation.objects.update(name="news.of-tomorrow")
    mine, wake = submit(alice), submit(alice)
    executor.work_off(wake.pk)
    assert Operation.objects.get(pk=mine.pk).state == "succeeded"
    assert {row.state for row in Operation.objects.filter(name="news.of-tomorrow")} == {"queued"}
    for operation in foreign:
        control.act("cancel", operation.pk, "alice")


def test_what_nobody_has_known_for_an_hour_is_told_so(alice: Any) -> None:
    operation = submit(alice)
    Operation.objects.update(name="news.of-yesterday", run_at=Now() - timedelta(hours=2))
    executor.work_off(submit(alice).pk)
    operation.refresh_from_db()
    assert (operation.state, operation.attempt, operation.error["code"]) == ("failed", 1, "unknown_operation")


def test_neither_what_has_ended_nor_what_waits_behind_a_running_one_is_due(alice: Any) -> None:
    for _ in range(6):  # more than are looked at
        executor.execute(submit(alice).pk)
    first, second = (submission.submit("probe.queues-up", {"thing": "a"}, alice).operation for _ in range(2))
    assert queueing.due("default") == [first.pk]
    control.cancel(first.pk, "alice")
    held = transitions.claim(second.pk, "another worker")
    assert held is not None
    control.retry(first.pk, "alice")
    assert queueing.due("default") == [], "the older one waits, as the newer one is at work"
    transitions.succeed(held, None, [])
    assert queueing.due("default") == [first.pk]
    executor.execute(first.pk)


def test_a_worker_is_deaf_where_messages_wait_and_a_free_process_receives_none(
    alice: Any, queue: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(tasks, "_DEAF_SECONDS", 0.0)
    warden = tasks.Warden(SimpleNamespace(app=current_app, hub=object(), pool=SimpleNamespace(limit=2)))
    assert not warden._is_deaf(busy=0), "nothing waits"
    operation = submit(alice)
    until(lambda: queueing.length(queue) == 1, what="its wake has come")
    assert warden._is_deaf(busy=1)
    monkeypatch.setattr(tasks, "_DEAF_SECONDS", 60.0)
    assert not warden._is_deaf(busy=1), "it was silent for a moment only"
    executor.execute(operation.pk)


def test_a_pool_process_leaves_what_is_loaded_out_of_its_garbage_collections() -> None:
    signals.worker_process_init.send(sender=None)
    try:
        assert gc.get_freeze_count() > 100_000
    finally:
        gc.unfreeze()
