"""What is done to a family when something was done to its parent, state by state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from lro.exceptions import Fail, NotAllowedNow
from lro.lifecycle import transitions
from lro.models import Operation
from lro.runtime import control, fan_out, queueing
from lro.states import TERMINAL, State

from .worn import fresh, row, worn

pytestmark = pytest.mark.django_db
ACTIVE = frozenset(State) - TERMINAL
CANCELLABLE = ACTIVE - {State.CANCELLING}
PAUSABLE = CANCELLABLE - {State.PAUSING, State.PAUSED}
AGAIN = frozenset({State.FAILED, State.CANCELLED})


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The operations that workers were woken for; no wake leaves these tests."""
    woken: list[Any] = []
    monkeypatch.setattr(queueing, "wake", lambda one: woken.append(one.pk) if one.state == State.QUEUED else None)
    monkeypatch.setattr(queueing, "wake_now", lambda one: woken.append(one.pk))
    return woken


def wide(owner: Any, state: State = State.WAITING, **columns: Any) -> Operation:
    """A parent of more children than these tests make."""
    counts = {"children_total": 200, "children_pending": 100, "children_failed": 50, "children_weight_done": 100.0}
    return worn(owner, state, **{**counts, **columns})


def child_of_each_state(parent: Operation) -> dict[State, Operation]:
    return {
        state: wide(
            parent.owner, state, parent=parent, child_index=20 - index, children_pending=20, on_child_failure=""
        )
        for index, state in enumerate(sorted(State)[::-1])
    }


def changed(children: dict[State, Operation]) -> set[State]:
    return {state for state, child in children.items() if fresh(child).last_sequence > 9}


STOPPED = frozenset({State.CANCELLING, State.CANCELLED, State.FAILED, State.EXPIRED})
PAUSED = frozenset({State.PAUSING, State.PAUSED})


@pytest.mark.parametrize("state", sorted(State))
@pytest.mark.parametrize(
    ("duty", "parents", "reached"),
    [(fan_out.stop_families, STOPPED, CANCELLABLE), (fan_out.pause_families, PAUSED, PAUSABLE)],
    ids=["stops", "pauses"],
)
def test_the_reconciler_does_so_to_children_that_go_on_without_their_parent(
    alice: Any, duty: Any, parents: frozenset[State], reached: frozenset[State], state: State
) -> None:
    children = child_of_each_state(wide(alice, state))
    expected = reached if state in parents else frozenset()
    assert (duty(), changed(children)) == (len(expected), expected)


@pytest.mark.parametrize("duty", [fan_out.stop_families, fan_out.pause_families])
def test_the_reconciler_does_so_in_portions(alice: Any, settings: Any, duty: Any) -> None:
    settings.LRO = {**settings.LRO, "BATCH_SIZE": 2}
    child_of_each_state(wide(alice, State.FAILED))
    child_of_each_state(wide(alice, State.PAUSED))
    assert duty() == 2


class TestACascade:
    REACHED = {"cancel": CANCELLABLE, "pause": PAUSABLE}
    PARENT = {"cancel": State.FAILED, "pause": State.PAUSED}

    @pytest.mark.parametrize("verb", REACHED)
    def test_reaches_the_children_that_the_verb_is_for(self, alice: Any, verb: str) -> None:
        parent, other = wide(alice, self.PARENT[verb]), wide(alice, self.PARENT[verb])
        children, others = child_of_each_state(parent), child_of_each_state(other)
        fan_out.cascade(verb, parent.pk, "bob")
        assert changed(children) == self.REACHED[verb]
        assert changed(others) == set()

    @pytest.mark.parametrize("verb", REACHED)
    def test_goes_down_with_those_it_reached(self, alice: Any, verb: str) -> None:
        parent = wide(alice, self.PARENT[verb])
        children = child_of_each_state(parent)
        below = {state: child_of_each_state(child) for state, child in children.items()}
        fan_out.cascade(verb, parent.pk, "bob")
        reached = {state for state, grandchildren in below.items() if changed(grandchildren)}
        assert reached == self.REACHED[verb]

    @pytest.mark.parametrize("verb", REACHED)
    def test_does_nothing_to_the_children_of_a_parent_that_was_told_to_go_on_meanwhile(
        self, alice: Any, monkeypatch: pytest.MonkeyPatch, verb: str
    ) -> None:
        parent = wide(alice, self.PARENT[verb])
        child = worn(alice, State.QUEUED, parent=parent)
        again = {"cancel": "retry", "pause": "resume"}[verb]
        real = getattr(transitions, verb)

        def late(operation_id: Any, by: str) -> Operation:
            monkeypatch.undo()
            control.act(again, parent.pk, "alice")
            return real(operation_id, by)

        monkeypatch.setattr(transitions, verb, late)
        fan_out.cascade(verb, parent.pk, "its parent")
        assert (fresh(child).state, fresh(child).last_sequence) == ("queued", 9)

    @pytest.mark.parametrize("verb", ["cancel", "pause"])
    def test_may_be_bounded_and_begins_with_the_first(self, alice: Any, verb: str) -> None:
        parent = wide(alice, self.PARENT[verb])
        asked = [worn(alice, State.CANCELLING, parent=parent) for _ in range(2)]  # they count no more
        third, first, second = (worn(alice, State.QUEUED, parent=parent, child_index=index) for index in (7, 5, 6))
        fan_out.cascade(verb, parent.pk, "bob", at_most=2)
        assert [fresh(one).last_sequence > 9 for one in (*asked, first, second, third)] == [
            False, False, True, True, False,
        ]  # fmt: skip

    @pytest.mark.parametrize("verb", ["cancel", "pause"])
    def test_is_bounded_in_each_family_below_too(self, alice: Any, verb: str) -> None:
        parent = worn(alice, self.PARENT[verb])
        child = wide(alice, State.WAITING, parent=parent)
        grandchildren = [worn(alice, State.QUEUED, parent=child, child_index=index) for index in range(3)]
        fan_out.cascade(verb, parent.pk, "bob", at_most=2)
        assert [fresh(one).last_sequence > 9 for one in grandchildren] == [True, True, False]

    def test_passes_over_what_ended_meanwhile(self, alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        parent = wide(alice, State.FAILED)
        children = [worn(alice, State.RUNNING, parent=parent, child_index=index) for index in range(2)]
        real = transitions.cancel

        def late(operation_id: Any, by: str) -> Operation:
            transitions.succeed(children[0], None, [])
            return real(operation_id, by)

        monkeypatch.setattr(transitions, "cancel", late)
        fan_out.cascade("cancel", parent.pk, "bob")
        assert [fresh(child).state for child in children] == ["succeeded", "cancelling"]


class TestAFamilyThatGoesOn:
    VERBS = {"resume": State.PAUSED, "retry": State.FAILED}
    REACHED = {"resume": {State.PAUSED}, "retry": AGAIN | {State.PAUSED}}
    STOPPING = [("resume", State.PAUSING), ("retry", State.PAUSING), ("retry", State.CANCELLING)]

    def family(self, owner: Any, verb: str, *left_out: State) -> tuple[Operation, dict[State, Operation]]:
        parent = wide(owner, self.VERBS[verb])
        children = child_of_each_state(parent)
        stopping = {state for of, state in self.STOPPING if of == verb} | set(left_out)
        Operation.objects.filter(pk__in=[children.pop(state).pk for state in stopping]).delete()
        return parent, children

    @pytest.mark.parametrize("verb", VERBS)
    def test_takes_along_the_children_that_had_stopped(self, alice: Any, verb: str) -> None:
        (parent, children), (_, others) = self.family(alice, verb), self.family(alice, verb)
        control.act(verb, parent.pk, "bob")
        assert changed(children) == self.REACHED[verb]
        assert changed(others) == set()
        assert {fresh(children[state]).state for state in self.REACHED[verb]} == {"queued"}

    @pytest.mark.parametrize("verb", VERBS)
    def test_goes_down_with_those_it_reached(self, alice: Any, verb: str) -> None:
        parent, children = self.family(alice, verb)
        below = {state: worn(alice, State.PAUSED, parent=child) for state, child in children.items()}
        control.act(verb, parent.pk, "bob")
        assert changed(below) == self.REACHED[verb]
        assert {fresh(below[state]).state for state in self.REACHED[verb]} == {"waiting"}

    @pytest.mark.parametrize(("verb", "state"), STOPPING)
    def test_waits_for_a_child_that_still_stops(self, alice: Any, verb: str, state: State) -> None:
        parent, children = self.family(alice, verb)
        grandchild = worn(alice, state, parent=children[State.PAUSED])
        with pytest.raises(NotAllowedNow, match="have not stopped yet"):
            control.act(verb, parent.pk, "bob")
        assert changed({**children, State.RUNNING: grandchild, State.QUEUED: parent}) == set()

    @pytest.mark.parametrize("verb", VERBS)
    def test_goes_on_by_its_parent_and_not_child_by_child(self, alice: Any, verb: str) -> None:
        parent, children = self.family(alice, verb)
        child = children[self.VERBS[verb]]
        with pytest.raises(NotAllowedNow, match=f"Its parent is {parent.state}: {verb} that"):
            control.act(verb, child.pk, "bob")
        Operation.objects.filter(pk=parent.pk).update(state=State.WAITING)
        assert control.act(verb, child.pk, "bob").state == "queued"

    @pytest.mark.parametrize("verb", VERBS)
    def test_wakes_workers_for_what_it_queued(self, alice: Any, woken: list[Any], verb: str) -> None:
        parent = wide(alice, self.VERBS[verb], children_pending=0)
        child = worn(alice, self.VERBS[verb], parent=parent, children_pending=0)
        control.act(verb, parent.pk, "bob")
        assert sorted(woken) == sorted([parent.pk, child.pk])

    def test_counts_what_is_tried_again(self, alice: Any) -> None:
        parent = wide(alice, State.FAILED)
        for state, weight in [(State.FAILED, 1.5), (State.CANCELLED, 2.0), (State.PAUSED, 4.0)]:
            worn(alice, state, parent=parent, weight=weight)
        control.act("retry", parent.pk, "bob")
        again = fresh(parent)
        assert (again.children_pending, again.children_failed, again.children_weight_done) == (102, 48, 96.5)

    @pytest.mark.parametrize(("verb", "kind"), [("resume", "resumed"), ("retry", "retry.scheduled")])
    def test_tells_of_each_child_as_of_one_that_goes_on_alone(self, alice: Any, verb: str, kind: str) -> None:
        alone = worn(alice, self.VERBS[verb], children_pending=0)
        parent = wide(alice, self.VERBS[verb])
        child = worn(alice, self.VERBS[verb], parent=parent, children_pending=0)
        for one in (alone, parent):
            control.act(verb, one.pk, "bob")
        facts = [list(one.events.values_list("sequence", "kind", "attempt", "data")) for one in (alone, child)]
        assert facts[0] == facts[1]
        assert facts[0][0][:2] == (10, kind)
        columns = [
            {name: type(value) if isinstance(value, datetime) else value for name, value in row(one).items()}
            for one in (alone, child)
        ]
        assert {name for name in columns[0] if columns[0][name] != columns[1][name]} == {"id", "root_id", "parent_id"}

    def test_of_a_repeat_the_children_hear_nothing(self, alice: Any) -> None:
        parent = wide(alice, State.WAITING)
        children = child_of_each_state(parent)
        control.act("resume", parent.pk, "bob")
        assert changed(children) == set()


class TestAfterAnEnding:
    def test_the_parent_that_it_queued_is_woken_at_once(self, alice: Any, woken: list[Any]) -> None:
        parent = worn(alice, State.QUEUED, woken_at=None)
        fan_out.follow_up(worn(alice, State.SUCCEEDED, parent=parent))
        assert woken == [parent.pk]

    @pytest.mark.parametrize("state", sorted(State))
    def test_any_other_parent_is_not(self, alice: Any, woken: list[Any], state: State) -> None:
        woken_at = {"woken_at": None} if state is not State.QUEUED else {}
        fan_out.follow_up(worn(alice, State.SUCCEEDED, parent=worn(alice, state, **woken_at)))
        assert woken == []

    @pytest.mark.parametrize("state", sorted(State))
    def test_the_siblings_are_stopped_where_the_parent_was(self, alice: Any, state: State) -> None:
        parent = wide(alice, state)
        siblings = child_of_each_state(parent)
        fan_out.follow_up(siblings[State.FAILED])
        assert changed(siblings) == (CANCELLABLE if state in STOPPED else set())

    def test_of_many_siblings_a_process_stops_some_and_is_free_again(self, alice: Any) -> None:
        parent = wide(alice, State.FAILED)
        siblings = [worn(alice, State.QUEUED, parent=parent, child_index=index) for index in range(60)]
        fan_out.follow_up(worn(alice, State.FAILED, parent=parent))
        assert sum(fresh(one).state == "cancelled" for one in siblings) == 50

    def test_the_grandparent_hears_of_it_too(self, alice: Any, woken: list[Any]) -> None:
        grandparent = worn(alice, State.QUEUED, woken_at=None)
        parent = worn(alice, State.FAILED, parent=grandparent)
        fan_out.follow_up(worn(alice, State.FAILED, parent=parent))
        assert woken == [grandparent.pk]

    def test_an_orphan_has_nobody_to_tell(self, alice: Any, woken: list[Any]) -> None:
        parent = wide(alice, State.WAITING)
        child = worn(alice, State.SUCCEEDED, parent=parent)
        Operation.objects.filter(pk=parent.pk).delete()
        fan_out.follow_up(child)
        fan_out.follow_up(worn(alice, State.SUCCEEDED))
        assert woken == []


class TestASpawner:
    def made(self, held: Operation, *inputs: dict[str, Any], keys: Any = None, spawner: Any = None) -> list[int]:
        spawner = spawner or fan_out.Spawner(held)
        sizes = []
        for chunk in spawner.chunks("probe.counts", inputs, keys, 2.5):
            spawner.spawn(chunk)
            sizes.append(len(chunk))
        return sizes

    @pytest.fixture
    def held(self, alice: Any) -> Operation:
        return worn(alice, children_total=0, children_pending=0)

    def test_inserts_a_few_hundred_at_a_time_and_wakes_workers(
        self, held: Operation, woken: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fan_out, "_CHUNK", 2)
        assert self.made(held, *({"to": number} for number in range(5))) == [2, 2, 1]
        children = list(held.children.order_by("child_index"))
        assert [child.input["to"] for child in children] == [0, 1, 2, 3, 4]
        assert woken == [child.pk for child in children]
        assert {child.weight for child in children} == {2.5}

    def test_knows_again_what_was_asked_for_before(self, held: Operation, woken: list[Any]) -> None:
        self.made(held, {"to": 1}, {"to": 1}, {"to": 2})
        woken.clear()
        self.made(held, {"to": 1}, {"to": 1}, {"to": 1}, {"to": 2})
        assert sorted(child.input["to"] for child in held.children.all()) == [1, 1, 1, 2]
        assert len(woken) == 1

    def test_knows_it_by_the_keys_that_were_given(self, held: Operation) -> None:
        self.made(held, {"to": 1}, {"to": 2}, keys=["a", "b"])
        self.made(held, {"to": 3}, {"to": 4}, keys=["b", "c"])
        assert dict(held.children.values_list("child_key", "input__to")) == {"a": 1, "b": 2, "c": 4}

    def test_does_not_mistake_the_children_of_others_for_its_own(self, held: Operation) -> None:
        other = worn(held.owner, children_total=0, children_pending=0)
        self.made(other, {"to": 1})
        self.made(held, {"to": 1})
        assert held.children.count() == 1

    def test_knows_an_input_in_whatever_order_it_is_written(self, held: Operation) -> None:
        one, other = fan_out.Spawner(held), fan_out.Spawner(held)
        assert one._key("x", {"a": 1, "b": 2}) == other._key("x", {"b": 2, "a": 1})
        assert one._key("x", {"a": 1, "b": 2}) != other._key("y", {"a": 1, "b": 2})

    def test_stops_at_the_limits_and_says_so(self, held: Operation, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_CHILDREN": 3, "MAX_DEPTH": 2}
        self.made(held, {"to": 1}, {"to": 2})
        self.made(held, {"to": 1}, {"to": 2}, {"to": 3})
        with pytest.raises(Fail, match="at most 3 children"):
            self.made(held, {"to": 4})
        assert held.children.count() == 3
        self.made(worn(held.owner, depth=1, children_total=0), {"to": 1})
        with pytest.raises(Fail, match="nested 2 deep"):
            self.made(worn(held.owner, depth=2), {"to": 1})


class TestGathering:
    @pytest.fixture
    def parent(self, alice: Any) -> Operation:
        return worn(alice)

    def child(self, parent: Operation, state: State, index: int) -> Operation:
        return worn(parent.owner, state, parent=parent, child_index=index)

    @pytest.mark.parametrize("state", sorted(ACTIVE))
    def test_waits_for_whoever_is_still_at_work(self, parent: Operation, state: State) -> None:
        self.child(parent, State.SUCCEEDED, 0)
        self.child(parent, state, 1)
        assert {fan_out.gathered(parent, policy) for policy in fan_out.POLICIES} == {None}

    @pytest.mark.parametrize("state", sorted(TERMINAL - {State.SUCCEEDED}))
    def test_waits_for_nobody_where_one_has_failed_that_is_to_fail_the_parent(
        self, parent: Operation, state: State
    ) -> None:
        self.child(parent, State.RUNNING, 0)
        bad = self.child(parent, state, 1)
        assert fan_out.gathered(parent, "collect") is None
        with pytest.raises(Fail, match=f"{bad.pk} ended as {state}"):
            fan_out.gathered(parent, "fail_parent")

    def test_gives_them_in_the_order_in_which_they_were_asked_for(self, parent: Operation) -> None:
        last, first = self.child(parent, State.SUCCEEDED, 2), self.child(parent, State.FAILED, 1)
        worn(parent.owner, State.SUCCEEDED)
        assert fan_out.gathered(parent, "collect") == [first, last]
        assert fan_out.gathered(parent, "ignore") == [last]
        with pytest.raises(Fail, match=f"{first.pk} ended as failed") as failed:
            fan_out.gathered(parent, "fail_parent")
        assert (failed.value.code, failed.value.details) == ("child_failed", [{"child": str(first.pk)}])

    def test_refuses_what_it_does_not_know(self, parent: Operation) -> None:
        with pytest.raises(ValueError, match="fail_parent, collect, ignore, not 'give_up'"):
            fan_out.gathered(parent, "give_up")


class TestAJoin:
    @pytest.mark.parametrize("state", sorted(frozenset(State) - {State.WAITING}))
    def test_is_made_up_for_where_nobody_is_at_work_and_that_is_an_error(
        self, alice: Any, state: State, caplog: pytest.LogCaptureFixture
    ) -> None:
        forgotten, other = worn(alice, State.WAITING), worn(alice, State.WAITING)
        worn(alice, state, parent=forgotten)
        worn(alice, State.RUNNING, parent=other)
        worn(alice, State.PAUSED)
        expected = int(state in TERMINAL)
        assert fan_out.join_forgotten() == expected
        assert fresh(forgotten).state == ("queued" if expected else "waiting")
        assert (str(forgotten.pk) in caplog.text) == bool(expected)
        caplog.clear()
        assert fan_out.join_forgotten() == 0
        assert not caplog.records

    def test_is_made_up_for_in_portions(self, alice: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "BATCH_SIZE": 2}
        for _ in range(3):
            worn(alice, State.WAITING)
        assert [fan_out.join_forgotten() for _ in range(3)] == [2, 1, 0]


class TestARollUp:
    def test_adds_what_the_running_children_have_done(self, alice: Any) -> None:
        parent, other = worn(alice, State.WAITING), worn(alice, State.WAITING, children_weight_done=9.0)
        before = row(other)
        worn(alice, parent=parent, weight=2.0, progress={"percent": 50.0})
        worn(alice, parent=parent, weight=1.0, progress={})
        worn(alice, State.QUEUED, parent=parent, weight=2.0, progress={"percent": 50.0})
        worn(alice, parent=other, weight=2.0, progress={"percent": 50.0})
        fan_out.roll_up(parent.pk)
        after = fresh(parent)
        assert (after.progress["percent"], after.progress["current"], after.progress["total"]) == (50.0, 3, 5)
        assert list(parent.events.values_list("kind", "data")) == [("progress", after.progress)]
        assert row(other) == before

    @pytest.mark.parametrize("percent", [50.0, 60.0])
    def test_never_goes_backwards_and_says_nothing_twice(self, alice: Any, percent: float) -> None:
        parent = worn(alice, State.WAITING, progress={"percent": percent})
        worn(alice, parent=parent, weight=1.0, progress={"percent": 100.0})
        before = row(parent)
        fan_out.roll_up(parent.pk)
        assert row(parent) == before

    def test_begins_at_nothing(self, alice: Any) -> None:
        parent = worn(alice, State.WAITING, progress={}, children_weight_done=0.0)
        worn(alice, parent=parent, weight=1.0, progress={"percent": 5.0})
        fan_out.roll_up(parent.pk)
        assert fresh(parent).progress["percent"] == 0.5

    @pytest.mark.parametrize("state", sorted(frozenset(State) - {State.WAITING}))
    def test_is_for_a_parent_that_waits(self, alice: Any, state: State) -> None:
        parent = worn(alice, state)
        worn(alice, parent=parent, weight=2.0, progress={"percent": 100.0})
        before = row(parent)
        fan_out.roll_up(parent.pk)
        assert row(parent) == before
