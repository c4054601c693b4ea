"""What host projects use in their tests."""

from __future__ import annotations

from typing import Any

import pytest

from lro.models import Event, Operation
from lro.runtime import submission
from lro.testing import (
    assert_consistent,
    cancel_after,
    crash_after,
    duplicate,
    followed,
    following,
    lose_pushes,
    pause_after,
    run_due,
    run_operation,
)
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]
SAVES = ("probe.saves", {"to": 5})


class TestRunOperation:
    def test_runs_it_here_and_now(self, alice: Any) -> None:
        assert run_operation(*SAVES, alice).result == {"saved": 5}

    def test_tries_again_without_waiting_for_the_back_off(self, alice: Any) -> None:
        operation = run_operation("probe.flaky", {"succeeds_at": 3, "after": 3600}, alice)
        assert (operation.state, operation.attempt) == ("succeeded", 3)

    def test_runs_the_children_and_then_the_parent(self, alice: Any) -> None:
        data = {"child": "probe.counts", "inputs": [{"to": 2}] * 3}
        assert run_operation("probe.splits", data, alice).result["counted"] == 6

    def test_leaves_what_failed_as_it_is(self, alice: Any) -> None:
        assert run_operation("probe.fails", {}, alice).error["code"] == "no_luck"


class TestAFollower:
    def test_hears_every_event_once_and_in_order(self, alice: Any) -> None:
        operation = submission.submit(*SAVES, alice).operation
        with followed(operation) as events:
            run_due()
        assert [event["kind"] for event in events][:2] == ["created", "started"]
        assert events[-1]["kind"] == "succeeded"

    def test_hears_them_even_where_every_push_is_lost(self, alice: Any) -> None:
        operation = submission.submit(*SAVES, alice).operation
        with lose_pushes(), followed(operation) as events:
            run_due()
        assert events[-1]["kind"] == "succeeded"

    def test_says_what_was_not_heard(self, alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        operation = submission.submit(*SAVES, alice).operation
        monkeypatch.setattr(following, "_WITHIN_SECONDS", 0.5)

        def forge() -> None:
            with followed(operation) as events:
                run_due()
                until(lambda: len(events) >= 2, what="it heard that it started")
                Event.objects.filter(operation=operation, kind="started").update(kind="begun")

        with pytest.raises(AssertionError, match="The follower heard"):
            forge()


class TestAFault:
    @pytest.mark.parametrize("checkpoints", range(1, 6))
    def test_crash_after_any_checkpoint_leaves_each_item_done_once(self, alice: Any, checkpoints: int) -> None:
        with crash_after(checkpoints=checkpoints):
            operation = run_operation(*SAVES, alice)
        assert (operation.state, operation.attempt, operation.rejects.count()) == ("succeeded", 2, 5)
        assert operation.attempts.first().outcome == "lost"

    def test_crash_again_and_again_is_quarantined_only_without_progress(self, alice: Any) -> None:
        with crash_after(checkpoints=1, times=5):
            operation = run_operation(*SAVES, alice)
        assert (operation.state, operation.attempt) == ("succeeded", 6)

    def test_cancel_after_a_checkpoint_keeps_what_it_covered(self, alice: Any) -> None:
        with cancel_after(checkpoints=2):
            operation = run_operation(*SAVES, alice)
        assert (operation.state, operation.checkpoint, operation.rejects.count()) == ("cancelled", 2, 2)

    def test_pause_after_a_checkpoint_goes_on_from_there(self, alice: Any) -> None:
        from lro.runtime import control

        with pause_after(checkpoints=2):
            operation = run_operation(*SAVES, alice)
        assert (operation.state, operation.checkpoint) == ("paused", 2)
        control.act("resume", operation.pk, "alice")
        run_due()
        operation.refresh_from_db()
        assert (operation.state, operation.rejects.count()) == ("succeeded", 5)

    def test_duplicate_delivery_runs_it_once(self, alice: Any) -> None:
        with duplicate():
            operation = run_operation(*SAVES, alice)
        assert (operation.attempt, operation.rejects.count()) == (1, 5)

    def test_lost_pushes_leave_the_record_whole(self, alice: Any) -> None:
        with lose_pushes():
            operation = run_operation(*SAVES, alice)
        sequences = Event.objects.filter(operation=operation).order_by("sequence").values_list("sequence", flat=True)
        assert list(sequences) == list(range(1, operation.last_sequence + 1))

    def test_is_over_with_its_block(self, alice: Any) -> None:
        with crash_after(checkpoints=1):
            pass
        assert run_operation(*SAVES, alice).attempt == 1


def test_the_checker_names_what_is_wrong(alice: Any) -> None:
    operation = run_operation(*SAVES, alice)
    Operation.objects.filter(pk=operation.pk).update(rejected=4)
    with pytest.raises(AssertionError, match="it counts 4 rejects and has 5"):
        assert_consistent()
    Operation.objects.filter(pk=operation.pk).update(rejected=5)
