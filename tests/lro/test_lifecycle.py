"""What an attempt does to its operation, and what a worker that lost its lease cannot do."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from lro.events import journal
from lro.exceptions import LeaseLost, NotAllowedNow, Problem
from lro.lifecycle import leases, retries, transitions
from lro.models import Operation
from lro.runtime import control, executor, reconciler, registry, submission
from lro.testing import run_attempt, run_operation
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


def submit(owner: Any, name: str = "probe.counts", **data: Any) -> Operation:
    return submission.submit(name, data or {"to": 3}, owner).operation


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def kinds(operation: Operation) -> list[str]:
    return list(operation.events.values_list("kind", flat=True))


def test_an_operation_runs_to_its_result(alice: Any) -> None:
    operation = run_attempt("probe.counts", {"to": 5}, alice)
    assert (operation.state, operation.result) == ("succeeded", {"counted": 5})
    assert operation.progress["current"] == 5
    assert operation.progress["percent"] == 100.0
    told = [kind for kind, _ in itertools.groupby(kinds(operation))]
    assert told == ["created", "started", "progress", "succeeded"]


def test_facts_that_are_told_together_keep_their_order(alice: Any) -> None:
    told = run_attempt("probe.facts", {"facts": 3}, alice).events.filter(kind="probe.told")
    assert list(told.order_by("sequence").values_list("data", flat=True)) == [{"fact": 0}, {"fact": 1}, {"fact": 2}]
    assert "probe.told" not in kinds(run_attempt("probe.facts", {"facts": 0}, alice))


def test_a_failure_of_its_own_is_final_and_says_why(alice: Any) -> None:
    operation = run_attempt("probe.fails", {}, alice)
    assert operation.state == "failed"
    assert operation.error["code"] == "no_luck"
    assert operation.error["kind"] == "user"
    assert operation.error["details"] == [{"place": "here"}]
    assert operation.result is None


def test_an_error_is_tried_again_until_no_attempt_is_left(alice: Any) -> None:
    operation = run_attempt("probe.breaks", {}, alice)
    assert operation.state == "retrying"
    Operation.objects.filter(pk=operation.pk).update(run_at=Now())
    assert reconciler.requeue_due() == 1
    executor.execute(operation.pk)
    operation = fresh(operation)
    assert (operation.state, operation.attempt) == ("failed", 2)
    assert operation.error["code"] == "runtime_error"
    assert "broken" in operation.attempts.last().traceback


def test_a_checkpoint_forgives_earlier_failures(alice: Any) -> None:
    held = transitions.claim(submit(alice, "probe.saves", to=1).pk, "w")
    assert held
    Operation.objects.filter(pk=held.pk).update(failures=3)
    attempt = executor.Execution(held)
    attempt.context.checkpoint(1)
    assert fresh(held).failures == 0
    transitions.succeed(held, None, [])


def test_only_one_of_two_workers_gets_an_operation(alice: Any) -> None:
    operation = submit(alice)
    assert transitions.claim(operation.pk, "first") is not None
    assert transitions.claim(operation.pk, "second") is None


def test_a_worker_that_lost_its_lease_can_write_nothing(alice: Any) -> None:
    held = transitions.claim(submit(alice, "probe.saves", to=1).pk, "w")
    assert held
    attempt = executor.Execution(held)
    assert transitions.rescue(held, retries.lost("gone")) is not None
    before = fresh(held)
    attempt.context.reject(1, "late", "too late")
    for write in (
        lambda: attempt.context.checkpoint(1, save=lambda: pytest.fail("the fence comes first")),
        lambda: attempt.context.log("late"),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert leases.renew(held.pk, held.fence, {"current": 1}) is None
    assert transitions.succeed(held, "late", []) is None
    assert transitions.end_badly(held, retries.lost("late")) is None
    after = fresh(held)
    assert (after.last_sequence, after.checkpoint, after.state) == (before.last_sequence, None, "retrying")


def test_a_worker_whose_database_does_not_answer_stops_by_itself(
    alice: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LRO = {**settings.LRO, "SELF_FENCE_SECONDS": 0.3}
    held = transitions.claim(submit(alice).pk, "w")
    assert held
    hangs, answers = threading.Event(), threading.Event()

    def hang(operation_id: Any) -> bool:
        hangs.set()
        return not answers.wait(20)

    monkeypatch.setattr(leases, "lock", hang)
    attempt = executor.Execution(held)
    attempt.meter.current = 1
    attempt.start_heartbeat()
    try:
        assert hangs.wait(20)
        until(lambda: attempt.heartbeat.must_stop, what="it was silent for too long")
        with pytest.raises(LeaseLost):
            attempt.context.check()
    finally:
        answers.set()
        attempt.stop_heartbeat()
    transitions.release(held, "the test is over")


def test_a_checkpoint_whose_commit_went_through_unseen_is_not_made_twice(alice: Any) -> None:
    held = transitions.claim(submit(alice, "probe.saves", to=2).pk, "w")
    assert held
    context = executor.Execution(held).context
    context.reject(0, "probe", "once")
    context._commit(1, 1, None)
    context.checkpoint(1)  # the same checkpoint again, as after a connection that broke in COMMIT
    operation = fresh(held)
    assert (operation.rejected, operation.rejects.count(), operation.checkpoint) == (1, 1, 1)
    transitions.succeed(held, None, [])


@pytest.mark.parametrize("is_committed", [True, False])
def test_facts_are_told_once_though_the_connection_breaks_in_the_commit(
    alice: Any, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    held = transitions.claim(submit(alice).pk, "w")
    assert held
    context, append, breaks = executor.Execution(held).context, journal.append, ["once"]

    def break_off(*arguments: Any, **options: Any) -> Any:
        done = append(*arguments, **options) if is_committed or not breaks else None
        if breaks:
            breaks.clear()
            raise OperationalError("the server closed the connection")
        return done

    context.log("before", at=1.5)
    transitions.pause(held.pk, "alice")
    monkeypatch.setattr(journal, "append", break_off)
    context.event("probe.fact", {"n": 1}, {"n": 1})
    breaks.append("again")
    context.log("before", at=1.5)
    told = list(held.events.filter(kind__in=["log", "probe.fact"]).values_list("kind", "data__n"))
    assert told == [("log", None), ("probe.fact", 1), ("probe.fact", 1), ("log", None)]
    transitions.stop(held)


def test_a_cursor_that_is_known_late_is_kept_with_the_rejects_that_came_with_it(alice: Any) -> None:
    held = transitions.claim(submit(alice, "probe.saves", to=2).pk, "w")
    assert held
    context, tries = executor.Execution(held).context, []

    def save() -> None:
        tries.append(context.reject(len(tries), "probe", "perhaps"))
        if len(tries) == 1:
            raise OperationalError("a deadlock")

    context.reject(7, "probe", "before")
    context.checkpoint(lambda: {"tries": len(tries)}, save=save)
    operation = fresh(held)
    assert context.cursor == operation.checkpoint == {"tries": 2}
    assert [row.position for row in operation.rejects.all()] == [1, 7]
    assert operation.rejected == context.rejected == 2
    held.checkpoints = 0  # the same again, as after a connection that broke in COMMIT
    context.checkpoint(lambda: pytest.fail("it is there"), save=save)
    assert (context.cursor, len(tries), context.rejected) == ({"tries": 2}, 2, 2)
    transitions.succeed(held, None, [])


def test_an_operation_may_refuse_to_go_on(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(operation: Operation, verb: str) -> None:
        raise Problem(409, "not_yet", f"It cannot {verb} yet.")

    monkeypatch.setattr(registry.find("probe.counts"), "reconsider", refuse)
    operation = submit(alice)
    control.act("pause", operation.pk, "alice")
    with pytest.raises(NotAllowedNow, match="It cannot resume yet") as refusal:
        control.act("resume", operation.pk, "alice")
    assert (refusal.value.code, fresh(operation).state) == ("not_yet", "paused")
    control.act("cancel", operation.pk, "alice")


@pytest.mark.parametrize("verb", [transitions.cancel, transitions.pause])
def test_what_no_worker_holds_is_stopped_at_once_and_asking_again_is_harmless(alice: Any, verb: Any) -> None:
    operation = submit(alice)
    first, second = verb(operation.pk, "alice"), verb(operation.pk, "alice")
    assert first.state == second.state in ("cancelled", "paused")
    assert first.last_sequence == second.last_sequence


def test_a_held_operation_is_asked_to_stop_and_its_worker_stops_it(alice: Any) -> None:
    held = transitions.claim(submit(alice).pk, "w")
    assert held
    assert transitions.cancel(held.pk, "alice").state == "cancelling"
    assert transitions.stop(held).state == "cancelled"  # type: ignore[union-attr]


def test_a_paused_operation_goes_on_from_its_checkpoint(alice: Any) -> None:
    held = transitions.claim(submit(alice, "probe.saves", to=4).pk, "w")
    assert held
    context = executor.Execution(held).context
    for index in range(2):
        context.reject(index, "probe", "x")
        context.checkpoint(index + 1)
    transitions.pause(held.pk, "alice")
    assert transitions.stop(held).state == "paused"  # type: ignore[union-attr]
    transitions.resume(held.pk, "alice")
    executor.execute(held.pk)
    operation = fresh(held)
    assert (operation.state, operation.rejects.count()) == ("succeeded", 4)


def test_what_the_state_does_not_allow_is_refused(alice: Any) -> None:
    operation = run_attempt("probe.counts", {"to": 1}, alice)
    for verb in (transitions.cancel, transitions.pause, transitions.resume):
        with pytest.raises(NotAllowedNow, match="succeeded"):
            verb(operation.pk, "alice")


def test_a_retry_by_hand_keeps_the_input_and_begins_where_it_is_told(alice: Any) -> None:
    operation = run_attempt("probe.fails", {}, alice)
    again = transitions.retry_by_hand(operation.pk, "alice", from_start=True)
    assert (again.state, again.error, again.failures) == ("queued", None, 0)
    transitions.cancel(operation.pk, "alice")


class TestTheReconciler:
    def test_takes_over_what_a_dead_process_of_this_machine_held(self, alice: Any) -> None:
        operation = submit(alice)
        held = transitions.claim(operation.pk, leases.worker_name(2**22 + 1, 2**22 + 2))
        assert held
        assert reconciler.rescue_dead() == 1
        assert fresh(operation).state == "retrying"
        assert fresh(operation).fence == held.fence + 1

    def test_leaves_alone_what_another_machine_holds_within_its_lease(self, alice: Any) -> None:
        held = transitions.claim(submit(alice).pk, "elsewhere.1/1/1")
        assert held
        assert reconciler.rescue_dead() + reconciler.rescue_expired() == 0
        transitions.succeed(held, None, [])

    def test_takes_over_what_has_had_no_heartbeat_for_a_lease(self, alice: Any) -> None:
        held = transitions.claim(submit(alice).pk, "elsewhere.1/1/1")
        assert held
        Operation.objects.filter(pk=held.pk).update(lease_expires_at=Now())
        assert reconciler.rescue_expired() == 1
        assert fresh(held).attempts.get().outcome == "lost"

    @pytest.mark.parametrize(("verb", "ends"), [("cancel", "cancelled"), ("pause", "paused")])
    def test_fences_off_what_does_not_listen_to_a_stop(self, alice: Any, verb: str, ends: str) -> None:
        held = transitions.claim(submit(alice).pk, "elsewhere.1/1/1")
        assert held
        getattr(transitions, verb)(held.pk, "alice")
        assert reconciler.stop_unheard() == 0
        Operation.objects.filter(pk=held.pk).update(stop_requested_at=Now() - held.cancel_grace)
        assert reconciler.stop_unheard() == 1
        assert (fresh(held).state, fresh(held).fence) == (ends, held.fence + 1)

    def test_wakes_what_was_never_woken_and_not_what_just_was(self, alice: Any, queue: str) -> None:
        operation = submit(alice)
        Operation.objects.filter(pk=operation.pk).update(woken_at=None)
        assert reconciler.wake_forgotten() == 1
        assert reconciler.wake_forgotten() == 0

    def test_does_each_duty_once_however_many_run(self, alice: Any) -> None:
        held = transitions.claim(submit(alice).pk, "elsewhere.1/1/1")
        assert held
        Operation.objects.filter(pk=held.pk).update(lease_expires_at=Now())
        stale = list(leases.expired())
        assert reconciler._rescue(stale, "once") == 1
        assert reconciler._rescue(stale, "twice") == 0


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite gives the id of a row that was rolled back again")
def test_a_checkpoint_that_is_written_again_inserts_new_rows(alice: Any) -> None:
    """A crash of PostgreSQL gives ids again that a lost transaction had taken; rows that kept theirs would collide."""
    held = transitions.claim(submit(alice, "probe.saves", to=1).pk, "w")
    assert held
    context = executor.Execution(held).context
    tries: list[int] = []

    def lose_the_connection_once() -> None:
        tries.append(held.rejects.get().pk)
        if len(tries) == 1:
            raise OperationalError("the connection is lost")

    context.reject(0, "probe", "x")
    context.checkpoint(1, save=lose_the_connection_once)
    assert len(set(tries)) == 2
    transitions.succeed(held, None, [])


class TestWhatCannotBeStored:
    @pytest.mark.parametrize("character", ["\0", "\udcff"], ids=["nul", "surrogate"])
    @pytest.mark.parametrize(
        ("how", "code"),
        [
            ("an error", "value_error"),
            ("a code", "a{}b"),
            ("details", "bad"),
            ("long details", "bad"),
            ("an object", "bad"),
        ],
    )
    def test_is_left_out_of_an_error_which_is_told_all_the_same(
        self, alice: Any, how: str, code: str, character: str
    ) -> None:
        data = {"how": how, "code": ord(character)}
        operation = run_attempt("probe.stammers", data, alice)
        told = operation.events.filter(kind__in=["failed", "retry.scheduled"]).get().data["error"]
        assert told["code"] == code.format({"\0": "�", "\udcff": "?"}[character])
        assert operation.attempts.get().outcome == "failed"

    @pytest.mark.parametrize("how", ["a retry", "a nap"])
    def test_does_not_keep_an_operation_from_going_on_later(self, alice: Any, how: str) -> None:
        assert run_operation("probe.stammers", {"how": how}, alice).state == "succeeded"

    @pytest.mark.parametrize("lasts", [False, True], ids=["at the end", "on the way"])
    @pytest.mark.parametrize(("how", "code"), [("progress", "invalid_value"), ("a number", "type_error")])
    def test_as_progress_fails_the_operation_with_what_was_wrong(
        self, alice: Any, how: str, code: str, lasts: bool
    ) -> None:
        operation = run_attempt("probe.stammers", {"how": how, "lasts": lasts}, alice)
        assert (operation.state, operation.error["code"], operation.error["kind"]) == ("failed", code, "user")
