"""Parents and children: split, wait, join once, and share each other's fate as it was agreed."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from lro.exceptions import LeaseLost, NotAllowedNow, UnknownOperation
from lro.lifecycle import retries, transitions
from lro.models import Operation
from lro.runtime import control, executor, fan_out, queueing, reconciler, submission
from lro.testing import Crash, assert_consistent, run_operation, strike
from lro.transports import access

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]

THREE = [{"to": 1}, {"to": 2}, {"to": 3}]


def start(owner: Any, **data: Any) -> Operation:
    return submission.submit("probe.splits", {"child": "probe.counts", "inputs": THREE} | data, owner).operation


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def children(operation: Operation) -> list[Operation]:
    return list(Operation.objects.filter(parent_id=operation.pk).order_by("child_index"))


def work_off() -> None:
    """Execute whatever is due until nothing is, as workers would."""
    for _ in range(200):
        reconciler.reconcile()
        due = Operation.objects.filter(state="queued", run_at__lte=Now()).order_by("run_at", "pk").first()
        if due is None:
            return
        executor.execute(due.pk)
    raise AssertionError("it does not come to an end")


def test_the_last_child_wakes_its_parent_at_once(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    parent = start(alice)
    executor.execute(parent.pk)
    monkeypatch.setattr(queueing, "wake_now", lambda operation: sent.append(operation.pk))
    for child in children(parent):
        assert sent == []
        executor.execute(child.pk)
    assert sent == [parent.pk]


def test_the_log_of_a_parent_tells_what_was_made_and_how_each_ended(alice: Any) -> None:
    parent = start(alice)
    work_off()
    events = parent.events.filter(kind__startswith="child.").order_by("sequence").values_list("kind", "data")
    made, *finished = events
    assert made == ("child.created", {"name": "probe.counts", "count": 3})
    assert {data.pop("child") for _, data in finished} == {str(row.pk) for row in children(parent)}
    assert finished == [
        ("child.finished", {"name": "probe.counts", "outcome": "succeeded", "pending": pending})
        for pending in (2, 1, 0)
    ]


def test_a_parent_waits_without_a_worker_and_goes_on_when_the_last_child_has_ended(alice: Any) -> None:
    parent = start(alice)
    executor.execute(parent.pk)
    assert (fresh(parent).state, fresh(parent).worker) == ("waiting", "")
    for number, child in enumerate(children(parent), start=1):
        assert fresh(parent).state == "waiting"
        executor.execute(child.pk)
        assert fresh(parent).children_pending == 3 - number
    assert fresh(parent).state == "queued"
    executor.execute(parent.pk)
    assert fresh(parent).result == {"states": ["succeeded"] * 3, "counted": 6}
    assert [row.outcome for row in parent.attempts.all()] == ["waiting", "succeeded"]
    assert fresh(parent).failures == 0


def test_children_belong_to_their_parent(alice: Any) -> None:
    parent = start(alice)
    executor.execute(parent.pk)
    for index, child in enumerate(children(parent)):
        assert (child.parent_id, child.root_id, child.owner, child.depth) == (parent.pk, parent.pk, alice, 1)
        assert (child.child_index, child.input["to"]) == (index, index + 1)
    work_off()


def test_the_parents_progress_is_its_childrens_and_never_goes_backwards(alice: Any) -> None:
    parent = start(alice)
    executor.execute(parent.pk)
    first, second, third = children(parent)
    executor.execute(first.pk)
    seen = [fresh(parent).progress["percent"]]
    held = transitions.claim(second.pk, "w")
    assert held
    Operation.objects.filter(pk=second.pk).update(progress={"percent": 50.0})
    fan_out.roll_up(parent.pk)
    seen.append(fresh(parent).progress["percent"])
    transitions.end_badly(held, retries.lost("gone"))
    executor.execute(third.pk)
    seen.append(fresh(parent).progress["percent"])
    assert seen == [33.3, 50.0, 66.7]
    assert fresh(parent).progress["current"] == 2
    transitions.cancel(second.pk, "alice")


def test_an_attempt_that_comes_again_does_not_make_its_children_twice(alice: Any) -> None:
    parent = start(alice, inputs=[{"to": 1}, {"to": 1}])
    held = transitions.claim(parent.pk, "w")
    assert held
    executor.Execution(held).context.spawn("probe.counts", [{"to": 1}, {"to": 1}])
    transitions.rescue(held, retries.lost("killed after it had spawned"))
    Operation.objects.filter(pk=parent.pk).update(run_at=Now())
    work_off()
    assert len(children(parent)) == 2
    assert fresh(parent).result["counted"] == 2


def test_a_worker_that_lost_its_lease_spawns_nothing(alice: Any) -> None:
    held = transitions.claim(start(alice).pk, "w")
    assert held
    context = executor.Execution(held).context
    transitions.rescue(held, retries.lost("gone"))
    with pytest.raises(LeaseLost):
        context.spawn("probe.counts", {"to": 1})
    assert children(held) == []
    transitions.cancel(held.pk, "alice")


def test_what_a_child_does_not_accept_fails_the_parent_and_names_the_place(alice: Any) -> None:
    parent = start(alice, inputs=[{"to": -1}])
    work_off()
    assert fresh(parent).state == "failed"
    assert "to" in fresh(parent).error["message"]


class TestWhenAChildFails:
    MIXED = [("fail_parent", "failed"), ("collect", "succeeded"), ("ignore", "succeeded")]

    @pytest.mark.parametrize(("policy", "ending"), MIXED)
    def test_its_parent_does_what_was_agreed(self, alice: Any, policy: str, ending: str) -> None:
        parent = start(alice, child="probe.fails", inputs=[{"a": 1}, {"a": 2}], on_failure=policy)
        work_off()
        operation = fresh(parent)
        assert operation.state == ending
        if policy == "fail_parent":
            assert operation.error["code"] == "child_failed"
            assert sorted(row.state for row in children(parent)) == ["cancelled", "failed"]
        else:
            assert operation.result["states"] == (["failed", "failed"] if policy == "collect" else [])
            assert operation.children_failed == 2

    def test_a_parent_that_still_spawns_fails_when_it_gathers(self, alice: Any) -> None:
        parent = start(alice, child="probe.fails", inputs=[{"a": 1}])
        held = transitions.claim(parent.pk, "w")
        assert held
        context = executor.Execution(held).context
        context.spawn("probe.fails", {"a": 1})
        executor.execute(children(parent)[0].pk)
        assert fresh(parent).state == "running"
        transitions.release(held, "deploy")
        work_off()
        assert fresh(parent).error["code"] == "child_failed"

    def test_a_retry_of_the_parent_tries_its_failed_children_again(self, alice: Any) -> None:
        inputs = [{"succeeds_at": 1}, {"succeeds_at": 99}]
        parent = start(alice, child="probe.flaky", inputs=inputs, on_failure="fail_parent")
        executor.execute(parent.pk)
        good, bad = children(parent)
        executor.execute(good.pk)
        held = transitions.claim(bad.pk, "w")
        assert held
        transitions.fail(held, retries.lost("gone"))
        assert fresh(parent).state == "failed"
        Operation.objects.filter(pk=bad.pk).update(input={"succeeds_at": 2})
        control.act("retry", parent.pk, "alice")
        work_off()
        assert fresh(parent).result["states"] == ["succeeded", "succeeded"]
        assert fresh(good).attempt == 1

    def test_a_retry_from_the_start_forgets_the_children(self, alice: Any) -> None:
        parent = start(alice, child="probe.fails", inputs=[{"a": 1}])
        work_off()
        before = children(parent)[0].pk
        control.act("retry", parent.pk, "alice", source="start")
        work_off()
        assert [row.pk for row in children(parent)] != [before]
        assert fresh(parent).children_total == 1


class TestAFamily:
    def test_is_cancelled_with_its_parent_to_the_last_grandchild(self, alice: Any) -> None:
        parent = submission.submit("probe.nests", {"levels": 2}, alice).operation
        executor.execute(parent.pk)
        executor.execute(children(parent)[0].pk)
        control.act("cancel", parent.pk, "alice")
        states = list(Operation.objects.filter(root_id=parent.pk).values_list("state", flat=True))
        assert states == ["cancelled"] * 3

    def test_is_cancelled_by_the_reconciler_where_the_request_died_after_its_parent(self, alice: Any) -> None:
        parent = start(alice)
        executor.execute(parent.pk)
        transitions.cancel(parent.pk, "alice")
        assert fan_out.stop_families() == 3
        assert {row.state for row in children(parent)} == {"cancelled"}

    def test_is_paused_and_resumed_with_its_parent(self, alice: Any) -> None:
        parent = start(alice)
        executor.execute(parent.pk)
        control.act("pause", parent.pk, "alice")
        assert {row.state for row in [fresh(parent), *children(parent)]} == {"paused"}
        assert fan_out.pause_families() == 0
        control.act("resume", parent.pk, "alice")
        assert fresh(parent).state == "waiting"
        work_off()
        assert fresh(parent).result["counted"] == 6

    def test_is_not_resumed_before_all_below_have_stopped(self, alice: Any) -> None:
        parent = start(alice)
        executor.execute(parent.pk)
        held = transitions.claim(children(parent)[0].pk, "w")
        assert held
        control.act("pause", parent.pk, "alice")
        with pytest.raises(NotAllowedNow, match="Some of its children have not stopped yet"):
            control.act("resume", parent.pk, "alice")
        assert fresh(parent).state == "paused"
        transitions.stop(held)
        control.act("resume", parent.pk, "alice")
        work_off()
        assert (fresh(parent).state, fresh(parent).result["counted"]) == ("succeeded", 6)

    def test_goes_on_after_a_pause_in_which_the_last_child_ended(self, alice: Any) -> None:
        parent = start(alice, inputs=[{"to": 1}])
        executor.execute(parent.pk)
        held = transitions.claim(children(parent)[0].pk, "w")
        assert held
        control.act("pause", parent.pk, "alice")
        transitions.succeed(held, {"counted": 1}, [])
        control.act("resume", parent.pk, "alice")
        assert fresh(parent).state == "queued"
        work_off()
        assert fresh(parent).state == "succeeded"

    def test_may_be_nested_to_a_limit_and_no_deeper(self, alice: Any) -> None:
        parent = submission.submit("probe.nests", {"levels": 5}, alice).operation
        work_off()
        assert fresh(parent).result == {"depth": 6}
        too_deep = submission.submit("probe.nests", {"levels": 6}, alice).operation
        work_off()
        assert fresh(too_deep).error["code"] == "child_failed"
        deepest = Operation.objects.filter(root_id=too_deep.pk).order_by("-depth").first()
        assert deepest.error["code"] == "too_deep"

    def test_may_not_be_wider_than_the_limit(self, alice: Any, settings: Any) -> None:
        settings.LRO = {"MAX_CHILDREN": 2}
        parent = start(alice)
        work_off()
        assert fresh(parent).error["code"] == "too_many_children"


def test_of_children_that_end_at_once_exactly_one_queues_the_parent(alice: Any) -> None:
    parent = start(alice, inputs=[{"to": 1}] * 24)
    executor.execute(parent.pk)
    helds = [transitions.claim(child.pk, "w") for child in children(parent)]
    barrier = threading.Barrier(6)

    def end(some: list[Any]) -> None:
        barrier.wait()
        for held in some:
            transitions.succeed(held, {"counted": 1}, [])
        connection.close()

    threads = [threading.Thread(target=end, args=(list(helds[n::6]),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kinds = list(parent.events.values_list("kind", "data__state"))
    assert kinds.count(("step", "queued")) == 1
    assert fresh(parent).children_pending == 0
    executor.execute(parent.pk)
    assert fresh(parent).result["counted"] == 24


def test_in_whatever_order_the_last_child_ends_and_the_parent_begins_to_wait_it_goes_on(alice: Any) -> None:
    for order in itertools.permutations(["child", "parent"]):
        parent = start(alice, inputs=[{"to": 1}])
        held = transitions.claim(parent.pk, "w")
        assert held
        executor.Execution(held).context.spawn("probe.counts", [{"to": 1}])
        for who in order:
            if who == "parent":
                transitions.wait(held, "fail_parent")
            else:
                executor.execute(children(parent)[0].pk)
        assert fresh(parent).state == "queued"
        assert_consistent()
    work_off()


def test_a_join_that_was_lost_is_found(alice: Any, caplog: Any) -> None:
    """Nothing loses one; the safety net is tried by cutting it loose by hand."""
    parent = start(alice, inputs=[{"to": 1}])
    executor.execute(parent.pk)
    assert fan_out.join_forgotten() == 0
    Operation.objects.filter(parent_id=parent.pk).delete()
    Operation.objects.filter(pk=parent.pk).update(children_total=0)
    assert fan_out.join_forgotten() == 1
    work_off()
    assert fresh(parent).state == "succeeded"


def test_a_retry_that_is_refused_leaves_the_children_alone(alice: Any) -> None:
    parent = start(alice, child="probe.fails", inputs=[{"a": 1}], on_failure="collect")
    work_off()
    with pytest.raises(NotAllowedNow):
        control.act("retry", parent.pk, "alice")
    assert children(parent)[0].state == "failed"


def test_a_family_is_deleted_as_a_whole_once_all_have_ended(alice: Any) -> None:
    parent = start(alice)
    executor.execute(parent.pk)
    held = transitions.claim(children(parent)[0].pk, "w")
    assert held
    control.act("cancel", parent.pk, "alice")
    with pytest.raises(NotAllowedNow, match="a child of it"):
        access.delete(alice, parent.pk)
    transitions.stop(held)
    with pytest.raises(NotAllowedNow, match="part of another"):
        access.delete(alice, held.pk)
    access.delete(alice, parent.pk)
    assert not Operation.objects.exists()


def test_what_is_internal_is_started_by_other_operations_alone(alice: Any) -> None:
    with pytest.raises(UnknownOperation, match="started by other operations only"):
        submission.submit("probe.inner", {}, alice)
    parent = start(alice, child="probe.inner", inputs=[{"n": 1}])
    work_off()
    assert fresh(parent).state == "succeeded"
    assert [child.result for child in children(parent)] == [{"n": 1}]


class TestTheRejectsOfChildren:
    """A parent takes over what its children set aside."""

    def gathered(self, owner: Any, *positions: list[int], limit: int | None = None, length: int = 0) -> Operation:
        data = {"positions": list(positions), "limit": limit, "length": length}
        return run_operation("probe.gleans", data, owner)

    def test_are_copied_with_all_that_is_known_of_them(self, alice: Any) -> None:
        parent = self.gathered(alice, [1, 4], [], [7])
        assert (parent.state, parent.rejected) == ("succeeded", 3)
        known = ("position", "offset", "column", "code", "message", "raw")
        assert list(parent.rejects.values_list(*known)) == [
            (position, position * 10, "a", "bad", f"Item {position} is bad.", "x") for position in (1, 4, 7)
        ]
        assert [child.rejected for child in children(parent)] == [2, 0, 1]
        told = parent.events.filter(kind="reject").values_list("data__count", "data__total")
        assert list(told) == [(2, 2), (1, 3)]

    def test_are_copied_up_to_a_limit(self, alice: Any) -> None:
        parent = self.gathered(alice, [1, 4], [7, 8], [9], limit=3)
        assert list(parent.rejects.values_list("position", flat=True)) == [1, 4, 7]

    @pytest.mark.parametrize("border", ["before", "after"])
    def test_are_copied_once_where_the_parent_crashes(self, alice: Any, border: Any) -> None:
        def crash() -> None:
            raise Crash

        with strike("OperationContext.adopt_rejects", crash, border=border):
            parent = self.gathered(alice, [1, 4], [7], limit=2)
        assert (parent.state, parent.rejected) == ("succeeded", 2)
        assert list(parent.rejects.values_list("position", flat=True)) == [1, 4]

    def test_are_copied_once_where_the_connection_breaks_in_commit(self, alice: Any) -> None:
        def break_off() -> None:
            raise OperationalError("the server closed the connection")

        with strike("fan_out.copy_rejects", lambda: transaction.on_commit(break_off), border="after"):
            parent = self.gathered(alice, [1, 4, 6, 9], [7], limit=3)
        assert (parent.state, parent.rejected) == ("succeeded", 3)
        assert list(parent.rejects.values_list("position", flat=True)) == [1, 4, 6]

    def test_follow_one_another_where_each_child_counts_from_zero(self, alice: Any) -> None:
        parent = self.gathered(alice, [0, 3], [0, 1], [2], length=5)
        assert list(parent.rejects.values_list("position", "message")) == [
            (0, "Item 0 is bad."),
            (3, "Item 3 is bad."),
            (5, "Item 0 is bad."),
            (6, "Item 1 is bad."),
            (12, "Item 2 is bad."),
        ]
        news = parent.events.filter(kind="reject").values_list("data", flat=True)
        assert parent.rejected == 5
        assert [[sample["position"] for sample in each["sample"]] for each in news] == [[0, 3], [5, 6], [12]]

    def test_are_not_taken_by_who_lost_the_lease(self, alice: Any) -> None:
        with strike("OperationContext.adopt_rejects", lambda: Operation.objects.update(fence=F("fence") + 1)):
            parent = submission.submit("probe.gleans", {"positions": [[1]], "limit": None}, alice).operation
            work_off()
        assert not parent.rejects.exists()
        Operation.objects.update(fence=F("fence") - 1)
