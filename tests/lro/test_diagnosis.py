"""Whether a worker lives, as far as the queues tell it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from lro.lifecycle import transitions
from lro.models import Operation
from lro.runtime import control, diagnosis, executor, submission

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


def waits(owner: Any, name: str = "probe.counts", **data: Any) -> Operation:
    """An operation that was due an hour ago."""
    operation = submission.submit(name, data or {"to": 1}, owner).operation
    Operation.objects.filter(pk=operation.pk).update(run_at=Now() - timedelta(hours=1))
    return operation


def test_what_nobody_claims_says_that_no_worker_lives(alice: Any) -> None:
    assert diagnosis.waiting().is_good
    waits(alice)
    assert diagnosis.waiting().problem == "an operation has waited 3600 s for one"


@pytest.mark.parametrize("is_at_work", [True, False], ids=["at work", "between two"])
def test_a_queue_is_only_long_where_a_worker_does_one_after_the_other(alice: Any, is_at_work: bool) -> None:
    first, _ = waits(alice), waits(alice)
    held = transitions.claim(first.pk, "elsewhere.1/1/1")
    assert held is not None
    if not is_at_work:
        transitions.succeed(held, None, [])
    assert diagnosis.waiting().is_good
    Operation.objects.filter(pk=first.pk).update(lease_expires_at=Now())
    first.attempts.update(finished_at=Now() - timedelta(hours=1))
    assert not diagnosis.waiting().is_good, "whoever it was is gone"


def test_what_waits_for_another_operation_waits_for_no_worker(alice: Any) -> None:
    ahead = waits(alice, "probe.queues-up", thing="x")
    control.act("pause", ahead.pk, "alice")
    behind = waits(alice, "probe.queues-up", thing="x")
    assert diagnosis.waiting().is_good
    control.act("cancel", ahead.pk, "alice")
    assert not diagnosis.waiting().is_good
    executor.execute(behind.pk)


def test_a_worker_of_one_queue_does_not_speak_for_another(alice: Any) -> None:
    busy, _ = waits(alice), waits(alice)
    assert transitions.claim(busy.pk, "elsewhere.1/1/1") is not None
    Operation.objects.filter(pk=busy.pk).update(queue="another")
    assert not diagnosis.waiting().is_good
