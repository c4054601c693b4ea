"""What runs out of its time, goes to sleep, is given back, or kills its process again and again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models.functions import Now

from lro.lifecycle import leases, transitions
from lro.models import Operation
from lro.runtime import executor, reconciler, shutdown, submission
from lro.testing import run_attempt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]
PAST = Now() - timedelta(seconds=1)


def claimed(owner: Any, name: str, **data: Any) -> Operation:
    held = transitions.claim(submission.submit(name, data, owner).operation.pk, "elsewhere.1/1/1")
    assert held is not None
    return held


def change(operation: Operation, **columns: Any) -> None:
    Operation.objects.filter(pk=operation.pk).update(**columns)


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def test_an_attempt_that_takes_too_long_is_ended_and_tried_again(alice: Any) -> None:
    held = claimed(alice, "probe.hurried", seconds=9)
    assert reconciler.time_out() == 0
    change(held, attempt_ends_at=PAST)
    assert (reconciler.time_out(), reconciler.time_out()) == (1, 0)
    operation = fresh(held)
    assert (operation.state, operation.attempts.get().outcome) == ("retrying", "timed out")
    transitions.cancel(held.pk, "alice")


def test_an_attempt_without_progress_is_ended_and_progress_puts_it_off(alice: Any) -> None:
    held = claimed(alice, "probe.stalls", seconds=9)
    change(held, stalls_at=PAST)
    assert leases.renew(held.pk, held.fence, {"current": 1}) == "running"
    assert reconciler.time_out() == 0
    change(held, stalls_at=PAST)
    assert reconciler.time_out() == 1
    operation = fresh(held)
    assert (operation.state, operation.error["code"], operation.error["kind"]) == ("failed", "stalled", "timeout")


def test_what_nobody_claims_in_time_expires(alice: Any) -> None:
    operation = submission.submit("probe.hurried", {"seconds": 9}, alice).operation
    change(operation, claim_by=PAST)
    assert reconciler.expire() == 1
    assert (fresh(operation).state, fresh(operation).error["code"]) == ("expired", "queue_timeout")


@pytest.mark.parametrize("verb", [None, transitions.pause], ids=["running", "pausing"])
def test_what_does_not_end_by_its_deadline_expires_and_its_worker_is_fenced_off(alice: Any, verb: Any) -> None:
    held = claimed(alice, "probe.hurried", seconds=9)
    if verb is not None:
        verb(held.pk, "alice")
    change(held, deadline_at=PAST)
    assert reconciler.expire() == 1
    operation = fresh(held)
    assert (operation.state, operation.error["code"], operation.fence) == ("expired", "deadline_exceeded", 2)
    assert transitions.succeed(held, "late", []) is None


def test_without_limits_nothing_ends_by_itself(alice: Any) -> None:
    held = claimed(alice, "probe.counts", to=1)
    assert reconciler.time_out() + reconciler.expire() == 0
    transitions.succeed(held, None, [])


def test_a_snooze_is_no_failure_and_goes_on_when_its_time_has_come(alice: Any) -> None:
    operation = run_attempt("probe.snoozes", {"wakes_at": 2, "after": 60}, alice)
    assert (operation.state, operation.failures, operation.attempts.get().outcome) == ("queued", 0, "interrupted")
    executor.execute(operation.pk)
    assert fresh(operation).attempt == 1, "it is too early to claim it"
    change(operation, run_at=PAST)
    executor.execute(operation.pk)
    assert fresh(operation).result == {"attempt": 2}


def test_a_worker_that_shuts_down_gives_back_what_it_holds_and_spends_no_attempt(alice: Any) -> None:
    shutdown.ask()
    try:
        operation = run_attempt("probe.counts", {"to": 5}, alice)
    finally:
        shutdown.withdraw()
    assert (operation.state, operation.failures, operation.attempts.get().outcome) == ("queued", 0, "interrupted")
    executor.execute(operation.pk)
    assert fresh(operation).state == "succeeded"


def test_the_time_of_a_pause_does_not_count_against_who_waits_for_a_worker(alice: Any) -> None:
    operation = submission.submit("probe.hurried", {"seconds": 9}, alice).operation
    transitions.pause(operation.pk, "alice")
    change(operation, claim_by=PAST)
    transitions.resume(operation.pk, "alice")
    assert reconciler.expire() == 0
    transitions.cancel(operation.pk, "alice")


@pytest.mark.parametrize("limit", ["attempt_ends_at", "stalls_at"])
def test_an_attempt_that_takes_too_long_is_ended_though_it_was_asked_to_pause(alice: Any, limit: str) -> None:
    held = claimed(alice, "probe.hurried", seconds=9)
    transitions.pause(held.pk, "alice")
    change(held, **{limit: PAST})
    assert reconciler.time_out() == 1
    assert (fresh(held).state, fresh(held).attempts.get().outcome) == ("paused", "paused")


def test_what_loses_its_process_three_times_without_a_checkpoint_is_quarantined(alice: Any) -> None:
    operation = submission.submit("probe.saves", {"to": 1}, alice).operation
    for crash in (1, 2, 3):
        held = transitions.claim(operation.pk, leases.worker_name(2**22 + 1, 2**22 + 2))
        assert held is not None
        assert reconciler.rescue_dead() == 1
        assert fresh(operation).crashes == crash
        change(operation, run_at=PAST)
        reconciler.requeue_due()
    error = fresh(operation).error
    assert (fresh(operation).state, error["code"], error["retryable"]) == ("failed", "quarantined", False)
    assert "/4194305/" in error["details"][0]["worker"]


def test_a_checkpoint_between_two_crashes_forgives_the_first(alice: Any) -> None:
    held = claimed(alice, "probe.saves", to=1)
    change(held, crashes=2)
    executor.Execution(held).context.checkpoint(1)
    assert fresh(held).crashes == 0
    transitions.succeed(held, None, [])


def test_a_snooze_between_two_bad_endings_forgives_the_first(alice: Any) -> None:
    operation = submission.submit("probe.snoozes", {"wakes_at": 2, "after": 3600.0}, alice).operation
    change(operation, failures=3, crashes=2)
    executor.execute(operation.pk)
    assert (fresh(operation).state, fresh(operation).failures, fresh(operation).crashes) == ("queued", 0, 0)
    transitions.cancel(operation.pk, "alice")


def test_a_worker_that_shuts_down_forgives_nothing(alice: Any) -> None:
    held = claimed(alice, "probe.counts", to=1)
    change(held, failures=1, crashes=2)
    transitions.release(held, "its worker shuts down")
    assert (fresh(held).failures, fresh(held).crashes) == (1, 2)
    transitions.cancel(held.pk, "alice")


def test_the_reconciler_looks_by_the_clock_of_the_database(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is an hour ahead would look ten times a second."""
    operation = submission.submit("probe.counts", {"to": 1}, alice).operation
    change(operation, run_at=Now() + timedelta(minutes=30))
    ahead = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr(reconciler, "datetime", SimpleNamespace(now=lambda zone: ahead), raising=False)
    assert reconciler.Reconciler()._round() == 5.0
    change(operation, run_at=Now() + timedelta(seconds=2))
    assert 1.0 < reconciler.Reconciler()._round() <= 2.0
    transitions.cancel(operation.pk, "alice")


def test_the_reconciler_looks_again_when_the_next_thing_is_due(alice: Any) -> None:
    assert reconciler.Reconciler()._round() == 5.0
    held = claimed(alice, "probe.hurried", seconds=9)
    assert 0.1 <= reconciler.Reconciler()._round() < 1.01, "its attempt ends"
    change(held, attempt_ends_at=None, deadline_at=None)
    change(held, lease_expires_at=Now() + timedelta(seconds=2))
    assert 1.0 < reconciler.Reconciler()._round() <= 2.0, "its lease ends"
    transitions.cancel(held.pk, "alice")
    assert 0.1 <= reconciler.Reconciler()._round() < 1.01, "its grace ends"
    change(held, stop_requested_at=PAST)
    reconciler.Reconciler()._round()
    assert fresh(held).state == "cancelled"
