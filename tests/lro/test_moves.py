"""What each move of an operation writes: every column, its events, its attempt, and nothing of anybody else's.

Columns that are not named here stay as they were, whatever they held.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from lro.conf import conf
from lro.exceptions import LeaseLost, NotAllowedNow
from lro.lifecycle import leases, moves, retries, transitions
from lro.models import Event, Operation, Reject
from lro.states import HELD, MOVES, PARKED, TERMINAL, State

from .worn import BROKEN, NOW, Change, In, change, fresh, row, worn

pytestmark = pytest.mark.django_db
ERROR = BROKEN.as_error(3)
CANCELLED = {
    "code": "cancelled",
    "message": "It was cancelled.",
    "kind": "user",
    "retryable": True,
    "details": [],
    "attempt": 3,
}


RELEASED = {"worker": "", "lease_expires_at": None, "attempt_ends_at": None, "stalls_at": None}
REVOKED = {**RELEASED, "fence": 8}
ENDED = {**RELEASED, "finished_at": NOW, "stop_requested_at": None}


def expected(state: str, columns: dict[str, Any], data: dict[str, Any], *kinds: Any) -> tuple[Any, Any]:
    """The columns, and the events of which the last carries the state."""
    *earlier, last = kinds
    return {"state": state, **columns}, [*earlier, (last, {**data, "state": state})]


def expires_in() -> In:
    return In(timedelta(days=conf().retention_days).total_seconds())


def test_a_claim_takes_the_row_and_opens_an_attempt(alice: Any) -> None:
    operation = worn(alice, State.QUEUED)
    made = change(operation, lambda: transitions.claim(operation.pk, "v.2/2/2"))
    taken = {
        "fence": 8,
        "attempt": 4,
        "worker": "v.2/2/2",
        "lease_expires_at": In(conf().lease_seconds),
        "attempt_ends_at": In(60),
        "stalls_at": In(30),
        "on_child_failure": "",
        "error": None,
    }
    assert (made.columns, made.events) == expected("running", taken, {"worker": "v.2/2/2"}, "started")
    made.attempt.pop("id")
    assert made.attempt.pop("started_at") == NOW
    assert made.attempt == {
        "operation_id": operation.pk,
        "number": 4,
        "fence": 8,
        "worker": "v.2/2/2",
        "outcome": "",
        "traceback": "",
    }


def test_the_first_claim_is_the_start(alice: Any) -> None:
    operation = worn(alice, State.QUEUED, started_at=None)
    transitions.claim(operation.pk, "v.2/2/2")
    assert fresh(operation).started_at == NOW


def test_what_is_not_due_is_not_claimed(alice: Any) -> None:
    operation = worn(alice, State.QUEUED, run_at=timezone.now() + timedelta(seconds=60))
    assert transitions.claim(operation.pk, "v.2/2/2") is None


def test_what_is_queued_may_be_claimed_and_nothing_else(alice: Any) -> None:
    rows = {worn(alice, state).pk: state for state in State}
    assert [rows[pk] for pk in Operation.objects.filter(leases.claimable()).values_list("pk", flat=True)] == ["queued"]


@pytest.mark.parametrize("is_family", [True, False])
def test_a_family_does_not_stand_in_its_own_way_to_a_resource(alice: Any, is_family: bool) -> None:
    first = worn(alice, State.WAITING, flight_key="the table")
    second = worn(alice, State.QUEUED, flight_key="the table", parent=first if is_family else None)
    assert (transitions.claim(second.pk, "v.2/2/2") is not None) == is_family


class TestAWorker:
    """What it says of its own attempt, under the fence that it claimed with."""

    def test_succeeds(self, alice: Any) -> None:
        held = worn(alice)
        made = change(held, lambda: transitions.succeed(held, {"new": 1}, [("log", {"message": "x"})], rejected=5))
        columns = {**ENDED, "expires_at": expires_in(), "result": {"new": 1}, "error": None, "rejected": 5}
        assert (made.columns, made.events) == expected("succeeded", columns, {}, ("log", {"message": "x"}), "succeeded")
        assert made.attempt == {"outcome": "succeeded", "finished_at": NOW}

    def test_fails(self, alice: Any) -> None:
        held = worn(alice)
        made = change(held, lambda: transitions.fail(held, BROKEN, outcome="lost", crashes=5))
        columns = {**ENDED, **REVOKED, "expires_at": expires_in(), "error": ERROR, "failures": 2, "crashes": 5}
        assert (made.columns, made.events) == expected("failed", columns, {"error": ERROR}, "failed")
        assert made.attempt == {"outcome": "lost", "finished_at": NOW, "error": ERROR, "traceback": "where it broke"}

    def test_is_tried_again(self, alice: Any) -> None:
        held = worn(alice)
        made = change(held, lambda: transitions.retry(held, BROKEN, timedelta(seconds=90), outcome="lost", crashes=5))
        columns = {**REVOKED, "run_at": In(90), "failures": 2, "crashes": 5}
        data = {"error": ERROR, "delay_seconds": 90.0}
        assert (made.columns, made.events) == expected("retrying", columns, data, "retry.scheduled")
        assert made.attempt == {"outcome": "lost", "finished_at": NOW, "error": ERROR, "traceback": "where it broke"}

    def test_gives_it_back(self, alice: Any) -> None:
        held = worn(alice)
        made = change(held, lambda: transitions.release(held, "a deploy", after=timedelta(seconds=90)))
        data = {"reason": "a deploy", "delay_seconds": 90.0}
        assert (made.columns, made.events) == expected(
            "queued", {**REVOKED, "run_at": In(90), "woken_at": None}, data, "interrupted"
        )
        assert made.attempt == {"outcome": "interrupted", "finished_at": NOW}

    @pytest.mark.parametrize(("asked", "ends"), [("cancelling", "cancelled"), ("pausing", "paused")])
    def test_stops_as_it_was_asked(self, alice: Any, asked: str, ends: str) -> None:
        held = worn(alice, State(asked))
        made = change(held, lambda: transitions.stop(held))
        columns = {**REVOKED, "stop_requested_at": None}
        if ends == "cancelled":
            columns |= {**ENDED, **REVOKED, "expires_at": expires_in(), "error": CANCELLED}
        assert (made.columns, made.events) == expected(ends, columns, {}, ends)
        assert made.attempt == {"outcome": ends, "finished_at": NOW}

    def test_waits_for_its_children(self, alice: Any) -> None:
        held = worn(alice)
        made = change(held, lambda: transitions.wait(held, "ignore"))
        columns = {**REVOKED, "failures": 0, "crashes": 0, "on_child_failure": "ignore"}
        message = {"message": "It waits for its children."}
        assert (made.columns, made.events) == expected("waiting", columns, message, "step")
        assert made.attempt == {"outcome": "waiting", "finished_at": NOW}

    def test_does_not_wait_for_children_that_have_just_ended(self, alice: Any) -> None:
        held = worn(alice, children_pending=0)
        made = change(held, lambda: transitions.wait(held, "ignore"))
        columns = {**REVOKED, "failures": 0, "crashes": 0, "run_at": NOW, "woken_at": None}
        message = {"message": "It waits for its children."}
        assert (made.columns, made.events) == expected("queued", columns, message, "step")
        assert made.attempt == {"outcome": "waiting", "finished_at": NOW}

    @pytest.mark.parametrize(
        ("policy", "failed", "ends"), [("fail_parent", 1, "queued"), ("fail_parent", 0, "waiting")]
    )
    def test_does_not_wait_where_a_child_has_just_failed_that_fails_it(
        self, alice: Any, policy: str, failed: int, ends: str
    ) -> None:
        held = worn(alice, children_failed=failed)
        ended = transitions.wait(held, policy)
        assert ended is not None
        assert (ended.state, ended.children_pending) == (ends, 2)

    @pytest.mark.parametrize(("asked", "ends"), [("cancelling", "cancelled"), ("pausing", "paused")])
    @pytest.mark.parametrize("ending", ["end_badly", "wait"])
    def test_stops_where_it_was_asked_to_before_it_ends_badly_or_waits(
        self, alice: Any, asked: str, ends: str, ending: str
    ) -> None:
        held = worn(alice, State(asked))
        ended = transitions.end_badly(held, BROKEN) if ending == "end_badly" else transitions.wait(held, "ignore")
        assert ended is not None
        assert (ended.state, held.attempts.get(fence=7).outcome) == (ends, ends)

    @pytest.mark.parametrize(
        ("failures", "is_retryable", "ends"), [(2, True, "retrying"), (3, True, "failed"), (0, False, "failed")]
    )
    def test_is_tried_again_while_it_may_help_and_attempts_are_left(
        self, alice: Any, failures: int, is_retryable: bool, ends: str
    ) -> None:
        held = worn(alice, failures=failures, max_attempts=4)
        failure = retries.Failure("broken", "It broke.", "user", is_retryable=is_retryable)
        made = change(held, lambda: transitions.end_badly(held, failure, outcome="timed out", crashes=5))
        assert (made.columns["state"], made.columns["failures"]) == (ends, failures + 1)
        assert (made.columns["crashes"], made.attempt["outcome"]) == (5, "timed out")

    def test_is_tried_again_when_it_says_so_itself(self, alice: Any) -> None:
        held = worn(alice)
        transitions.end_badly(held, retries.Failure("x", "x", "user", is_retryable=True, after=timedelta(seconds=500)))
        assert fresh(held).run_at == In(500)

    def test_that_is_lost_goes_on_at_once_the_first_time(self, alice: Any) -> None:
        first, second = worn(alice, crashes=0), worn(alice, crashes=1)
        for held in (first, second):
            transitions.rescue(held, retries.lost("It is gone."))
        data = {row.pk: row.events.get().data["delay_seconds"] for row in (first, second)}
        assert data[first.pk] == 0.0
        assert data[second.pk] > 0.0
        assert fresh(first).run_at == NOW

    def test_that_is_lost_counts_as_a_crash_and_the_last_one_is_final(self, alice: Any) -> None:
        held = worn(alice, crashes=conf().max_crashes - 2)
        made = change(held, lambda: transitions.rescue(held, retries.lost("It is gone.")))
        assert (made.columns["state"], made.columns["crashes"]) == ("retrying", conf().max_crashes - 1)
        assert (made.attempt["outcome"], made.attempt["error"]["code"]) == ("lost", "worker_lost")
        last = worn(alice, crashes=conf().max_crashes - 1, progress={"step": "third", "current": 3})
        made = change(last, lambda: transitions.rescue(last, retries.lost("It is gone.")))
        assert (made.columns["state"], made.columns["crashes"]) == ("failed", conf().max_crashes)
        assert made.columns["error"]["code"] == "quarantined"
        assert made.columns["error"]["details"] == [{"worker": "w.1/1/1", "step": "third", "current": 3}]

    def test_proves_that_it_lives(self, alice: Any) -> None:
        held = worn(alice)
        made = change(held, lambda: leases.renew(held.pk, 7, None))
        assert (made.columns, made.events) == ({"lease_expires_at": In(conf().lease_seconds)}, [])

    def test_proves_that_it_lives_with_its_progress(self, alice: Any) -> None:
        held = worn(alice)
        made = change(held, lambda: leases.renew(held.pk, 7, {"current": 5}))
        columns = {"lease_expires_at": In(conf().lease_seconds), "progress": {"current": 5}, "stalls_at": In(30)}
        assert (made.columns, made.events) == (columns, [("progress", {"current": 5})])

    @pytest.mark.parametrize("progress", [None, {"current": 5}], ids=["without progress", "with progress"])
    @pytest.mark.parametrize("state", sorted(HELD))
    def test_hears_with_each_proof_of_life_what_was_asked_for(self, alice: Any, state: State, progress: Any) -> None:
        held = worn(alice, state)
        answer = leases.renew(held.pk, 7, progress)
        assert answer is state
        assert leases.renew(held.pk, 6, progress) is None

    @pytest.mark.parametrize("parent_of", [0, 2])
    def test_spawns_children(self, alice: Any, parent_of: int) -> None:
        held = worn(alice, children_total=parent_of, children_pending=parent_of, children_weight=float(parent_of))
        new = [
            Operation(name="probe.counts", parent=held, root_id=held.pk, weight=weight, child_key=str(weight))
            for weight in (2.0, 3.0)
        ]
        made = change(held, lambda: transitions.spawn(held, new))
        total = parent_of + 2
        assert made.columns == {"children_total": total, "children_pending": total, "children_weight": parent_of + 5.0}
        assert made.events == [("child.created", {"name": "probe.counts", "count": 2})]
        for index, child in enumerate(map(fresh, new), start=parent_of):
            assert (child.child_index, child.state, child.last_sequence) == (index, "queued", 1)
            assert child.woken_at == NOW
            assert list(child.events.values_list("kind", "data", "sequence", "root_id")) == [
                ("created", {"name": "probe.counts", "state": "queued"}, 1, held.pk)
            ]

    def test_that_spawns_none_writes_nothing(self, alice: Any) -> None:
        held = worn(alice)
        assert change(held, lambda: transitions.spawn(held, [])) == Change({}, [], {})

    WAYS: dict[str, Callable[[Operation], object]] = {
        "succeed": lambda held: transitions.succeed(held, None, []),
        "fail": lambda held: transitions.fail(held, BROKEN),
        "retry": lambda held: transitions.retry(held, BROKEN, timedelta()),
        "end_badly": lambda held: transitions.end_badly(held, BROKEN),
        "rescue": lambda held: transitions.rescue(held, BROKEN),
        "wait": lambda held: transitions.wait(held, "collect"),
        "stop": transitions.stop,
        "release": lambda held: transitions.release(held, "a deploy"),
        "expire": lambda held: transitions.expire(held, BROKEN),
        "renew": lambda held: leases.renew(held.pk, held.fence, {"current": 1}),
        "beat": lambda held: leases.renew(held.pk, held.fence, None),
    }

    @pytest.mark.parametrize("state", sorted(State))
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("pending", [0, 2])
    def test_that_lost_its_lease_writes_nothing(self, alice: Any, way: str, state: State, pending: int) -> None:
        operation = worn(alice, state, children_pending=pending)
        held = fresh(operation)
        held.fence = 6
        assert change(operation, lambda: self.WAYS[way](held)) == Change({}, [], {})

    def test_that_lost_its_lease_spawns_nothing(self, alice: Any) -> None:
        held = worn(alice)
        held.fence = 6
        child = Operation(name="probe.counts", parent=held, root_id=held.pk)
        with pytest.raises(LeaseLost), transaction.atomic():
            transitions.spawn(held, [child])
        assert not held.children.exists()

    @pytest.mark.parametrize("state", sorted(HELD))
    @pytest.mark.parametrize("way", [way for way in WAYS if way not in ("renew", "beat")])
    def test_moves_only_where_the_table_of_moves_leads(self, alice: Any, way: str, state: State) -> None:
        held = worn(alice, state)
        ended: Any = self.WAYS[way](held)
        allowed = {
            "succeed": HELD,
            "fail": {State.RUNNING, State.PAUSING},
            "retry": {State.RUNNING},
            "end_badly": HELD,
            "rescue": HELD,
            "wait": HELD,  # asked to stop, it stops
            "stop": {State.PAUSING, State.CANCELLING},
            "release": {State.RUNNING},
            "expire": {State.RUNNING, State.PAUSING},
        }[way]
        assert (ended is not None) == (state in allowed)
        assert ended is None or (state, State(ended.state)) in MOVES
        assert (fresh(held).state == state) == (ended is None)


class TestPeople:
    """What they ask for, in every state."""

    PARKED_ENDS = {**ENDED, **REVOKED, "error": {**CANCELLED, "attempt": 0}}

    @pytest.mark.parametrize("state", sorted(PARKED))
    def test_cancel_at_once_what_no_worker_holds(self, alice: Any, state: State) -> None:
        operation = worn(alice, state)
        made = change(operation, lambda: transitions.cancel(operation.pk, "bob"))
        assert (made.columns, made.events) == expected(
            "cancelled",
            {**self.PARKED_ENDS, "expires_at": expires_in()},
            {},
            ("cancel.requested", {"by": "bob"}),
            "cancelled",
        )

    @pytest.mark.parametrize("state", [State.RUNNING, State.PAUSING])
    def test_ask_a_worker_to_cancel_what_it_holds(self, alice: Any, state: State) -> None:
        operation = worn(alice, state)
        made = change(operation, lambda: transitions.cancel(operation.pk, "bob"))
        assert (made.columns, made.events) == expected(
            "cancelling", {"stop_requested_at": NOW}, {"by": "bob"}, "cancel.requested"
        )

    @pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING, State.WAITING])
    def test_pause_at_once_what_no_worker_holds(self, alice: Any, state: State) -> None:
        operation = worn(alice, state)
        made = change(operation, lambda: transitions.pause(operation.pk, "bob"))
        assert (made.columns, made.events) == expected("paused", REVOKED, {"by": "bob"}, "paused")

    def test_ask_a_worker_to_pause_what_it_holds(self, alice: Any) -> None:
        operation = worn(alice)
        made = change(operation, lambda: transitions.pause(operation.pk, "bob"))
        data = {"message": "A pause was asked for.", "by": "bob"}
        assert (made.columns, made.events) == expected("pausing", {"stop_requested_at": NOW}, data, "step")

    def test_resume(self, alice: Any) -> None:
        operation = worn(alice, State.PAUSED, children_pending=0)
        made = change(operation, lambda: transitions.resume(operation.pk, "bob"))
        assert (made.columns, made.events) == expected(
            "queued", {"run_at": NOW, "woken_at": NOW, "claim_by": None}, {"by": "bob"}, "resumed"
        )

    def test_resume_what_had_not_come_to_wait_for_its_children(self, alice: Any) -> None:
        operation = worn(alice, State.PAUSED, on_child_failure="")
        assert transitions.resume(operation.pk, "bob").state == "queued"

    def test_resume_what_a_child_failed_meanwhile(self, alice: Any) -> None:
        operation = worn(alice, State.PAUSED, on_child_failure="fail_parent")
        assert transitions.resume(operation.pk, "bob").state == "queued"

    def test_resume_what_waits_for_its_children(self, alice: Any) -> None:
        operation = worn(alice, State.PAUSED)
        made = change(operation, lambda: transitions.resume(operation.pk, "bob"))
        assert (made.columns, made.events) == expected("waiting", {}, {"by": "bob"}, "resumed")

    AGAIN = {
        "run_at": NOW,
        "woken_at": NOW,
        "failures": 0,
        "crashes": 0,
        "claim_by": None,
        "deadline_at": None,
        "result": None,
        "error": None,
        "finished_at": None,
        "expires_at": None,
        "fence": 8,
    }

    @pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
    def test_retry_from_the_checkpoint(self, alice: Any, state: State) -> None:
        operation = worn(alice, state)
        Reject.objects.create(operation=operation, position="1", code="probe", message="x")
        child = worn(alice, State.FAILED, parent=operation)
        made = change(operation, lambda: transitions.retry_by_hand(operation.pk, "bob", from_start=False), child)
        assert (made.columns, made.events) == expected(
            "queued", self.AGAIN, {"by": "bob", "from": "checkpoint"}, "retry.scheduled"
        )
        assert operation.rejects.count() == 1

    @pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
    def test_retry_from_the_start(self, alice: Any, state: State) -> None:
        operation, other = worn(alice, state), worn(alice, state)
        for one in (operation, other):
            Reject.objects.create(operation=one, position="1", code="probe", message="x")
            worn(alice, State.FAILED, parent=one)
        made = change(operation, lambda: transitions.retry_by_hand(operation.pk, "bob", from_start=True), other)
        columns = {
            **self.AGAIN,
            "checkpoint": None,
            "checkpoints": 0,
            "progress": {},
            "rejected": 0,
            **{f"children_{name}": 0 for name in ("total", "pending", "failed", "weight", "weight_done")},
        }
        assert (made.columns, made.events) == expected(
            "queued", columns, {"by": "bob", "from": "start"}, "retry.scheduled"
        )
        assert (operation.rejects.count(), operation.children.count()) == (0, 0)
        assert (other.rejects.count(), other.children.count()) == (1, 1)

    @pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
    def test_retry_a_child_which_its_parent_counts_again(self, alice: Any, state: State) -> None:
        parent, uncle = worn(alice, State.WAITING), worn(alice, State.WAITING)
        child = worn(alice, state, parent=parent, weight=1.5)
        before = row(parent)
        change(child, lambda: transitions.retry_by_hand(child.pk, "bob", from_start=False), uncle)
        counts = {"children_pending": 3, "children_failed": 0, "children_weight_done": 2.5}
        assert row(parent) == {**before, **counts}

    @pytest.mark.parametrize("state", sorted(State))
    @pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry"])
    def test_are_refused_what_the_state_does_not_allow_and_may_ask_again(
        self, alice: Any, verb: str, state: State
    ) -> None:
        moved: dict[str, dict[State, State]] = {
            "cancel": {
                **dict.fromkeys(PARKED, State.CANCELLED),
                **dict.fromkeys([State.RUNNING, State.PAUSING], State.CANCELLING),
            },
            "pause": {
                **dict.fromkeys([State.QUEUED, State.RETRYING, State.WAITING], State.PAUSED),
                State.RUNNING: State.PAUSING,
            },
            "resume": {State.PAUSED: State.WAITING},
            "retry": dict.fromkeys([State.FAILED, State.CANCELLED], State.QUEUED),
        }
        harmless = {
            "cancel": {State.CANCELLING, State.CANCELLED},
            "pause": {State.PAUSING, State.PAUSED},
            "resume": {State.QUEUED, State.RUNNING, State.WAITING},
            "retry": {State.QUEUED},
        }
        operation = worn(alice, state)

        def ask() -> Operation:
            if verb == "retry":
                return transitions.retry_by_hand(operation.pk, "bob", from_start=False)
            return getattr(transitions, verb)(operation.pk, "bob")

        if (target := moved[verb].get(state)) is not None:
            assert ask().state == fresh(operation).state == target
        elif state in harmless[verb]:
            assert change(operation, lambda: ask()) == Change({}, [], {})
            assert ask().state == state
        else:
            with pytest.raises(NotAllowedNow, match=f"is {state}"):
                ask()
            assert fresh(operation).last_sequence == 9


class TestTheReconciler:
    @pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING, State.PAUSED, State.WAITING, State.RUNNING])
    def test_ends_what_is_out_of_time(self, alice: Any, state: State) -> None:
        operation = worn(alice, state)
        made = change(operation, lambda: transitions.expire(operation, BROKEN))
        error = {**ERROR, "retryable": False}
        columns = {**ENDED, **REVOKED, "expires_at": expires_in(), "error": error}
        assert (made.columns, made.events) == expected("expired", columns, {"error": error}, "expired")
        assert made.attempt == {"outcome": "expired", "finished_at": NOW, "error": ERROR, "traceback": "where it broke"}

    def test_ends_nothing_that_has_moved_since_it_looked(self, alice: Any) -> None:
        operation = worn(alice, State.QUEUED)
        seen = fresh(operation)
        seen.state = State.RETRYING
        assert change(operation, lambda: transitions.expire(seen, BROKEN)) == Change({}, [], {})

    def test_queues_what_is_over_its_back_off(self, alice: Any) -> None:
        operation = worn(alice, State.RETRYING)
        made = change(operation, lambda: transitions.requeue(operation.pk))
        assert (made.columns, made.events) == expected(
            "queued", {"woken_at": NOW}, {"message": "The back-off is over."}, "step"
        )

    def test_does_not_queue_what_is_still_backing_off(self, alice: Any) -> None:
        operation = worn(alice, State.RETRYING, run_at=timezone.now() + timedelta(seconds=60))
        assert transitions.requeue(operation.pk) is None

    def test_queues_a_parent_that_waits_for_nobody(self, alice: Any) -> None:
        operation = worn(alice, State.WAITING)
        made = change(operation, lambda: transitions.join(operation.pk))
        columns = {"run_at": NOW, "woken_at": None, "children_pending": 0}
        assert (made.columns, made.events) == expected(
            "queued", columns, {"message": "Its children have ended."}, "step"
        )

    @pytest.mark.parametrize("state", sorted(State))
    def test_leaves_alone_what_does_not_wait_or_back_off(self, alice: Any, state: State) -> None:
        operation = worn(alice, state)
        for move, its in ((transitions.join, State.WAITING), (transitions.requeue, State.RETRYING)):
            if state is not its:
                assert change(operation, lambda move=move: move(operation.pk)) == Change({}, [], {})

    def test_locks_an_operation_by_itself(self, alice: Any) -> None:
        operation = worn(alice)
        with transaction.atomic():
            assert leases.lock(operation.pk) is True
        operation.delete()
        worn(alice)
        with transaction.atomic():
            assert leases.lock(operation.pk) is False

    def test_knows_how_long_ago_a_stop_was_asked_for(self, alice: Any) -> None:
        asked, never = worn(alice), worn(alice, stop_requested_at=None)
        assert leases.asked_to_stop_for(asked.pk).total_seconds() == pytest.approx(1000, abs=5)
        assert leases.asked_to_stop_for(never.pk) == timedelta(0)
        assert leases.asked_to_stop_for(Operation().pk) == timedelta(0), "there is no such operation"

    def test_finds_the_dead_workers_of_its_own_machine_only(self, alice: Any) -> None:
        ended = 2**22 + 1  # above the highest process id
        here = worn(alice, worker=leases.worker_name(ended, ended))
        worn(alice, worker=f"elsewhere.1/{ended}/{ended}")
        worn(alice, worker=f"{leases.node()}x/{ended}/{ended}")
        worn(alice, State.FAILED, worker=leases.worker_name(ended, ended))
        assert [row.pk for row in leases.of_dead_workers()] == [here.pk]

    def test_finds_the_leases_that_ran_out(self, alice: Any) -> None:
        past = timezone.now() - timedelta(seconds=1)
        out = worn(alice, lease_expires_at=past)
        worn(alice)
        worn(alice, State.QUEUED, lease_expires_at=past)
        assert [row.pk for row in leases.expired()] == [out.pk]


class TestAParent:
    """What it is told when a child has ended, in the same transaction."""

    def told(self, parent: Operation, *, is_bad: bool = False) -> Change:
        child = worn(parent.owner, parent=parent, weight=1.0)
        self.child = child
        return change(
            parent,
            lambda: transitions.fail(child, BROKEN) if is_bad else transitions.succeed(child, None, []),
        )

    def news(self, outcome: str, pending: int) -> tuple[str, dict[str, Any]]:
        data = {"child": str(self.child.pk), "name": "probe.counts", "outcome": outcome, "pending": pending}
        return "child.finished", data

    def test_counts_it_and_rolls_up_its_progress(self, alice: Any) -> None:
        made = self.told(worn(alice, State.WAITING))
        progress = made.columns.pop("progress")
        assert (progress["current"], progress["total"], progress["percent"]) == (4, 5, 50.0)
        assert made.columns == {"children_pending": 1, "children_weight_done": 5.0}
        assert made.events == [self.news("succeeded", 1), ("progress", progress)]

    def test_is_queued_by_the_last_one(self, alice: Any) -> None:
        made = self.told(worn(alice, State.WAITING, children_pending=1))
        progress = made.columns.pop("progress")
        counts = {"children_pending": 0, "children_weight_done": 5.0}
        assert (made.columns, made.events) == expected(
            "queued",
            {"run_at": NOW, "woken_at": None, **counts},
            {"message": "Its last child ended."},
            self.news("succeeded", 0),
            ("progress", progress),
            "step",
        )

    def test_counts_it_before_it_waits(self, alice: Any) -> None:
        made = self.told(worn(alice, State.RUNNING))
        assert made.columns == {"children_pending": 1, "children_weight_done": 5.0}
        assert made.events == [self.news("succeeded", 1)]

    @pytest.mark.parametrize("state", sorted(TERMINAL))
    def test_counts_it_silently_after_its_own_end(self, alice: Any, state: State) -> None:
        parent = worn(alice, state)
        child, before = worn(alice, parent=parent), row(parent)
        transitions.fail(child, BROKEN)
        counts = {"children_pending": 1, "children_failed": 2, "children_weight_done": 5.0}
        assert row(parent) == {**before, **counts}
        assert not parent.events.exists()

    def test_fails_with_it_where_it_was_so_agreed(self, alice: Any) -> None:
        made = self.told(worn(alice, State.WAITING, on_child_failure="fail_parent"), is_bad=True)
        progress = made.columns.pop("progress")
        error = {
            "code": "child_failed",
            "message": f"Its child probe.counts {self.child.pk} ended as failed: It broke.",
            "details": [{"child": str(self.child.pk)}],
            "retryable": True,
            "attempt": 3,
            "kind": "user",
        }
        counts = {"children_pending": 1, "children_failed": 2, "children_weight_done": 5.0}
        assert (made.columns, made.events) == expected(
            "failed",
            {**ENDED, **REVOKED, "expires_at": expires_in(), **counts, "error": error},
            {"error": error},
            self.news("failed", 1),
            ("progress", progress),
            "failed",
        )

    @pytest.mark.parametrize("policy", ["collect", "ignore"])
    def test_goes_on_without_it_where_it_was_so_agreed(self, alice: Any, policy: str) -> None:
        made = self.told(worn(alice, State.WAITING, on_child_failure=policy, children_pending=1), is_bad=True)
        assert (made.columns["state"], made.columns["children_failed"]) == ("queued", 2)

    def test_that_did_not_yet_wait_does_not_fail_with_it(self, alice: Any) -> None:
        made = self.told(worn(alice, State.RUNNING, on_child_failure="fail_parent"), is_bad=True)
        assert "state" not in made.columns

    def test_of_a_hundred_hears_of_each_and_a_larger_one_of_failed_ones_and_whole_percents(self, alice: Any) -> None:
        def kinds(total: int, done: float, *, weight: float = 1000, pending: int = 50, is_bad: bool = False) -> Any:
            family = {"children_total": total, "children_weight": weight, "children_pending": pending}
            progress = {"percent": round(done / weight * 100, 1)} if done else {}
            parent = worn(alice, State.WAITING, **family, children_weight_done=done, progress=progress)
            return [kind for kind, _ in self.told(parent, is_bad=is_bad).events]

        assert kinds(100, 501.0) == ["child.finished", "progress"]
        assert kinds(101, 501.0) == []
        assert kinds(101, 0.0) == []
        assert kinds(1000, 501.0) == []
        assert kinds(1000, 509.0) == ["progress"]
        assert kinds(1000, 501.0, is_bad=True) == ["child.finished", "progress"]
        assert kinds(1000, 998.5, pending=1) == ["progress", "step"]


def test_a_submission_writes_the_row_and_its_first_event(alice: Any) -> None:
    operation = Operation(name="probe.counts", owner=alice, state=State.PAUSED)
    operation.root_id = operation.pk
    transitions.submit(operation, {"name": "probe.counts"})
    new = fresh(operation)
    assert (new.state, new.last_sequence) == ("queued", 1)
    assert new.woken_at == NOW
    event = Event.objects.get(operation=operation)
    assert (event.kind, event.data) == ("created", {"name": "probe.counts", "state": "queued"})


def test_no_move_is_made_that_its_condition_does_not_allow(alice: Any) -> None:
    operation = worn(alice)
    assert moves.enter(State.CANCELLING, operation.pk, [("step", {})], Q(attempt=2)) is None
    assert moves.enter(State.CANCELLING, operation.pk, [("step", {})]) is not None
