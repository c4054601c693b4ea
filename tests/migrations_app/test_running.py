"""A run of a data migration: each record is changed exactly once, and only what has changed is written."""

from __future__ import annotations

import datetime
import json
import math
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from lro import RejectItem, Retry
from lro.models import Operation
from lro.runtime import control, executor
from lro.testing import Crash, cancel_after, crash_after, pause_after
from migrations_app import running, state
from migrations_app.models import Airport
from migrations_app.sources import Again, source_of
from tests.migrations_app.runs import finish, fresh, kinds, run, submit, told
from tests.probe.data_migrations import Count, Counting, CountNamed
from tests.probe.models import Mark, Thing

is_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'")
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


def touches() -> Counter[int]:
    return Counter(Thing.objects.values_list("touched", flat=True))


# The ordinary


@pytest.mark.parametrize("count", [0, 1, 5, 23])
def test_each_record_is_changed_once(clerk: Any, things: Any, small_batches: None, count: int) -> None:
    things(count)
    operation = run(clerk, "probe.count")
    assert operation.state == "succeeded", operation.error
    (step,) = operation.result["steps"]
    assert (step["processed"], step["changed"], step["skipped"], step["failed"]) == (count, count, 0, 0)
    assert step["written"] == ({"probe.thing": {"updated": count}} if count else {})
    assert touches() == Counter([1] * count)
    assert operation.progress["current"] == operation.progress["total"] == count
    assert kinds(operation) == ["step_started", "step_completed", "completed"]


def test_a_step_begins_when_those_before_it_are_done(clerk: Any, things: Any, small_batches: None) -> None:
    things(12)
    operation = run(clerk, "probe.name-and-count")
    assert [step["step"] for step in operation.result["steps"]] == ["name", "count-named"]
    assert kinds(operation) == ["step_started", "step_completed"] * 2 + ["completed"]
    assert [event["step"] for event in told(operation, "step_started")] == ["name", "count-named"]
    assert all(thing.text == f"thing {thing.pk}" and thing.touched == 1 for thing in Thing.objects.all())
    assert (operation.result["processed"], operation.result["changed"]) == (24, 24)


def test_some_steps_may_be_run_alone(clerk: Any, things: Any) -> None:
    things(3)
    operation = run(clerk, "probe.name-and-count", steps=["name"])
    assert [step["step"] for step in operation.result["steps"]] == ["name"]
    assert touches() == {0: 3}


def test_what_needs_no_change_is_skipped_and_not_written(clerk: Any, things: Any) -> None:
    keys = things(4)
    Thing.objects.filter(pk=keys[1]).update(text=f"thing {keys[1]}")
    operation = run(clerk, "probe.name-and-count", steps=["name"])
    assert (operation.result["changed"], operation.result["skipped"]) == (3, 1)


def test_batches_grow_until_they_take_their_time(clerk: Any, things: Any) -> None:
    things(1_000)
    operation = run(clerk, "probe.count")
    assert touches() == {1: 1_000}
    assert operation.result["transactions"]["count"] < 8


def test_parameters_reach_the_steps_as_their_serializer_makes_them(clerk: Any, things: Any) -> None:
    things(2)
    run(clerk, "probe.count")
    run(clerk, "probe.write", parameters={"text": "ab", "times": "3"})
    assert set(Thing.objects.values_list("text", flat=True)) == {"ababab"}


# Whatever happens in the middle


@pytest.mark.parametrize("checkpoints", range(1, 8))
def test_a_crash_after_any_batch_changes_no_record_twice(
    clerk: Any, things: Any, small_batches: None, checkpoints: int
) -> None:
    things(22)
    with crash_after(checkpoints=checkpoints):
        operation = run(clerk, "probe.count")
    assert (operation.state, operation.attempt) == ("succeeded", 2)
    assert touches() == {1: 22}
    assert operation.result["changed"] == 22
    assert kinds(operation) == ["step_started", "step_completed", "completed"]


@pytest.mark.parametrize("number", range(3, 130, 11))
def test_a_crash_at_any_statement_changes_no_record_twice(
    clerk: Any, things: Any, small_batches: None, number: int
) -> None:
    things(22)
    operation = submit(clerk, "probe.name-and-count")
    statements = iter(range(10_000))

    def strike(execute: Any, *given: Any) -> Any:
        if next(statements) == number:
            raise Crash
        return execute(*given)

    with connection.execute_wrapper(strike), suppress(Crash):  # or it came to its end before
        executor.execute(operation.pk)
    assert_goes_on(operation)
    assert touches() == {1: 22}
    assert kinds(operation) == ["step_started", "step_completed"] * 2 + ["completed"]


def assert_goes_on(operation: Operation) -> None:
    from lro.lifecycle import retries, transitions

    if fresh(operation).is_held:
        transitions.rescue(fresh(operation), retries.lost("A test let it crash."))
    assert finish(operation).state == "succeeded", fresh(operation).error


@is_postgres
def test_a_connection_that_breaks_in_a_batch_spends_no_attempt(
    clerk: Any, things: Any, small_batches: None, hurting: Any
) -> None:
    keys = things(12)
    cuts = [keys[3], keys[9]]

    def cut(step: Any, thing: Thing) -> None:
        if cuts and thing.pk == cuts[0]:
            cuts.pop(0)
            connection.connection.close()
            Thing.objects.count()

    hurting(cut)
    operation = run(clerk, "probe.count")
    assert (operation.state, operation.attempt, cuts) == ("succeeded", 1, [])
    assert touches() == {1: 12}


def test_a_paused_run_is_resumed_where_it_was(clerk: Any, things: Any, small_batches: None) -> None:
    things(22)
    with pause_after(checkpoints=3):
        operation = run(clerk, "probe.count")
    assert (operation.state, touches()) == ("paused", {0: 12, 1: 10})
    control.act("resume", operation.pk, "alice")
    assert finish(operation).state == "succeeded"
    assert touches() == {1: 22}


def test_a_cancelled_run_keeps_what_was_done_and_may_be_taken_up_again(
    clerk: Any, things: Any, small_batches: None
) -> None:
    things(22)
    with cancel_after(checkpoints=3):
        operation = run(clerk, "probe.count")
    assert (operation.state, touches()) == ("cancelled", {0: 12, 1: 10})
    control.act("retry", operation.pk, "alice")
    assert finish(operation).state == "succeeded"
    assert touches() == {1: 22}


def test_the_author_may_ask_to_be_tried_again_later(clerk: Any, things: Any, small_batches: None, hurting: Any) -> None:
    keys = things(12)
    late = [keys[7]]

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk in late:
            late.clear()
            raise Retry("later", after=0)

    hurting(hurt)
    operation = run(clerk, "probe.count")
    assert (operation.state, operation.attempt, touches()) == ("succeeded", 2, {1: 12})


# Records that fail


def test_what_is_rejected_is_left_as_it_was_and_named(
    clerk: Any, things: Any, small_batches: None, hurting: Any
) -> None:
    keys = things(12)

    def hurt(step: Any, thing: Thing) -> None:
        thing.text = "half done"
        if thing.pk == keys[3]:
            raise RejectItem("unlucky", "It is unlucky.", column="text")
        if thing.pk == keys[8]:
            raise ZeroDivisionError("by nought")

    hurting(hurt)
    operation = run(clerk, "probe.count")
    assert operation.state == "succeeded"
    found = operation.rejects.values_list("code", "message", "column", "raw")
    assert list(found) == [
        ("unlucky", "It is unlucky.", "text", f"count {keys[3]}"),
        ("zero_division_error", "by nought", "", f"count {keys[8]}"),
    ]
    assert [row.position for row in operation.rejects.all()] == [3, 8]
    assert (operation.result["failed"], operation.rejected, touches()) == (2, 2, {0: 2, 1: 10})
    assert not Thing.objects.filter(touched=0, text="half done").exists()


def test_what_a_failed_record_wrote_itself_is_undone_alone(
    clerk: Any, things: Any, small_batches: None, hurting: Any
) -> None:
    keys = things(12)
    bad = {keys[0], keys[6], keys[7]}

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk in bad:
            raise ValueError("bad")

    hurting(hurt)
    operation = run(clerk, "probe.mark")
    assert Counter(Mark.objects.values_list("item", flat=True)) == Counter(str(k) for k in keys if k not in bad)
    assert operation.rejected == 3


def test_what_the_database_refuses_is_found_among_its_batch(
    clerk: Any, things: Any, small_batches: None, hurting: Any
) -> None:
    keys = things(12)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk == keys[4]:
            thing.touched = 2**40 if connection.vendor == "postgresql" else None

    hurting(hurt)
    operation = run(clerk, "probe.count")
    assert [row.raw for row in operation.rejects.all()] == [f"count {keys[4]}"]
    assert touches() == {0: 1, 1: 11}


@is_postgres
def test_a_value_that_is_too_long_is_refused_and_not_cut(clerk: Any, things: Any, hurting: Any) -> None:
    keys = things(3)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk == keys[1]:
            thing.text = "x" * 101

    hurting(hurt)
    operation = run(clerk, "probe.count")
    assert operation.rejects.get().code == "data_error"
    assert "too long" in operation.rejects.get().message
    assert touches() == {0: 1, 1: 2}


def test_too_many_errors_end_the_run(clerk: Any, things: Any, small_batches: None, hurting: Any) -> None:
    things(40)

    def hurt(step: Any, thing: Thing) -> None:
        raise RejectItem("unlucky", "It is unlucky.")

    hurting(hurt)
    operation = run(clerk, "probe.count", max_errors=7)
    assert (operation.state, operation.error["code"]) == ("failed", "too_many_errors")
    assert "10 of 10 records failed, 7 are allowed" in operation.error["message"]


def test_what_was_rejected_is_tried_again_alone(clerk: Any, things: Any, small_batches: None, hurting: Any) -> None:
    keys = things(22)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk in keys[::4]:
            raise RejectItem("unlucky", "It is unlucky.")

    hurting(hurt)
    first = run(clerk, "probe.count")
    assert touches() == {0: 6, 1: 16}
    hurting(lambda step, thing: None)
    second = run(clerk, "probe.count", retry_rejects=str(first.pk))
    assert (second.result["kind"], second.result["processed"], second.result["changed"]) == ("retry", 6, 6)
    assert touches() == {1: 22}


def test_records_that_others_changed_are_tried_again_in_the_order_of_their_keys(things: Any) -> None:
    """The place in the order is how far a run has come."""
    keys = [str(key) for key in things(4)][::-1]
    again = Again(source_of(Thing.objects.all()), keys)
    assert again.take(None, 3).keys == keys[:3] == again.again(keys[:3]).keys


def test_what_was_changed_beside_a_record_that_fails_is_not_written(clerk: Any, things: Any, hurting: Any) -> None:
    keys = things(5)

    def hurt(step: Any, thing: Thing) -> None:
        (last,) = step.fetch(Thing.objects.filter(pk=keys[-1]))
        last.text += "!"
        if thing.pk in keys[1:3]:
            raise RejectItem("unlucky", "It is unlucky.")

    hurting(hurt)
    assert run(clerk, "probe.count").result["failed"] == 2
    assert Thing.objects.get(pk=keys[-1]).text == "!!!"


def test_a_key_that_is_changed_is_an_error(clerk: Any, things: Any, hurting: Any) -> None:
    things(2)
    hurting(lambda step, thing: setattr(thing, "pk", thing.pk + 1_000))
    operation = run(clerk, "probe.count")
    assert "The key of" in operation.rejects.first().message
    assert touches() == {0: 2}


# Others who write meanwhile


def test_only_what_has_changed_is_written(clerk: Any, things: Any, hurting: Any) -> None:
    things(3)
    hurting(lambda step, thing: Thing.objects.filter(pk=thing.pk).update(text="of another"))
    run(clerk, "probe.count")
    assert set(Thing.objects.values_list("text", "touched")) == {("of another", 1)}


def by_another(key: int, **values: Any) -> None:
    """Another connection writes, and commits."""

    def write() -> None:
        try:
            Thing.objects.filter(pk=key).update(**values)
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


@is_postgres
def test_what_others_changed_meanwhile_is_not_overwritten_but_processed_anew(
    clerk: Any, things: Any, hurting: Any
) -> None:
    keys = things(5)
    late = [keys[2]]

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk in late:
            by_another(late.pop(), touched=10)

    hurting(hurt)
    operation = run(clerk, "probe.count")
    assert operation.result["changed"] == 5
    assert touches() == {1: 4, 11: 1}


@is_postgres
def test_what_others_deleted_meanwhile_is_not_brought_back(clerk: Any, things: Any, hurting: Any) -> None:
    keys = things(5)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk == keys[2]:
            thread = threading.Thread(target=lambda: (Thing.objects.filter(pk=keys[2]).delete(), connection.close()))
            thread.start()
            thread.join(10)

    hurting(hurt)
    operation = run(clerk, "probe.count")
    assert (operation.state, operation.result["failed"], touches()) == ("succeeded", 0, {1: 4})


def test_a_row_that_is_changed_again_and_again_is_set_aside(clerk: Any, things: Any, hurting: Any) -> None:
    keys = things(3)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk == keys[1]:  # in the same connection: to the batch it is the same
            Thing.objects.filter(pk=thing.pk).update(touched=F("touched") + 10)

    hurting(hurt)
    operation = run(clerk, "probe.count")
    assert operation.rejects.get().code == "changed_meanwhile"
    assert touches() == {0: 1, 1: 2}


# The pace


def test_a_throttle_waits_and_says_so_once(clerk: Any, things: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    things(3)
    answers = iter([0.05, 0.05, 0.05])
    monkeypatch.setattr(Counting, "throttle", staticmethod(lambda: next(answers, None)))
    operation = run(clerk, "probe.count")
    assert told(operation, "throttled") == [{"seconds": 0.05}]
    assert touches() == {1: 3}


def test_a_long_throttle_gives_the_worker_back(clerk: Any, things: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    things(3)
    monkeypatch.setattr(Counting, "throttle", staticmethod(lambda: 300.0))
    operation = submit(clerk, "probe.count")
    executor.execute(operation.pk)
    assert (fresh(operation).state, fresh(operation).failures) == ("queued", 0)
    monkeypatch.setattr(Counting, "throttle", staticmethod(lambda: None))
    assert finish(operation).state == "succeeded"


def test_a_pause_between_batches_is_waited_for(
    clerk: Any, things: Any, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    things(12)
    waited: list[float] = []
    monkeypatch.setattr(running.Running, "wait", lambda self, seconds: waited.append(seconds))
    run(clerk, "probe.count", pause=0.5)
    assert waited == [0.5] * 3


# A dry run


def test_a_dry_run_shows_what_would_be_and_leaves_no_trace(
    clerk: Any, things: Any, small_batches: None, hurting: Any
) -> None:
    from tests.migrations_app.digest import digest

    keys = things(22)

    def hurt(step: Any, thing: Thing) -> None:
        Mark.objects.create(item=str(thing.pk))
        if thing.pk == keys[5]:
            raise RejectItem("unlucky", "It is unlucky.")

    hurting(hurt)
    before = digest()
    with crash_after(checkpoints=3):
        operation = run(clerk, "probe.name-and-count", dry_run=True)
    assert digest() == before
    result = operation.result
    assert (operation.state, operation.attempt, result["dry_run"]) == ("succeeded", 2, True)
    assert [(s["step"], s["processed"], s["changed"]) for s in result["steps"]] == [
        ("name", 22, 21),
        ("count-named", 22, 21),
    ]
    first = [{"step": "name", "key": str(keys[0]), "before": {"text": ""}, "after": {"text": f"thing {keys[0]}"}}]
    assert result["sample"][:1] == first
    second = next(each for each in result["sample"] if each["step"] == "count-named")
    assert (second["before"], second["after"]) == ({"touched": 0}, {"touched": 1})
    assert Counter(each["step"] for each in result["sample"]) == {"name": 10, "count-named": 10}
    json.dumps(result)


def test_a_dry_run_goes_on_where_an_earlier_step_would_leave_nothing_to_do(
    clerk: Any, things: Any, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    things(12)
    monkeypatch.setattr(CountNamed, "source", lambda self: Thing.objects.filter(text=""))
    operation = run(clerk, "probe.name-and-count", dry_run=True)
    assert operation.state == "succeeded", operation.error
    assert [(s["processed"], s["changed"]) for s in operation.result["steps"]] == [(12, 12), (12, 0)]


def test_a_dry_run_shows_no_record_that_is_too_large(clerk: Any, things: Any, hurting: Any) -> None:
    things(2)
    text = "x" * 90
    hurting(lambda step, thing: setattr(thing, "text", text))
    operation = run(clerk, "probe.count", dry_run=True)
    assert operation.result["sample"][0]["after"] == {"text": text, "touched": 1}
    shown = state._shown({"key": "1", "before": "x" * 3_000, "after": None})
    assert shown == {"key": "1", "before": state._TOO_LARGE, "after": state._TOO_LARGE}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        ([1.5, float("inf")], [1.5, "inf"]),
        ("a\0b", "a\ufffdb"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_a_dry_run_shows_what_no_database_holds_as_text(value: Any, shown: Any) -> None:
    assert state._shown({"key": "1", "before": {"a": value}, "after": None})["before"] == {"a": shown}


def test_a_dry_run_shows_numbers_that_json_does_not_know(clerk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Airport.objects.create(iata="AAA", name="A", country="X", latitude=math.inf, longitude=math.inf)
    monkeypatch.setattr(Count, "source", lambda step: Airport.objects.all())
    monkeypatch.setattr(Count, "process", lambda step, airport: setattr(airport, "latitude", 1.0))
    operation = run(clerk, "probe.count", dry_run=True)
    assert operation.state == "succeeded", operation.error
    assert operation.result["sample"][0]["before"] == {"latitude": "inf"}


# Shards


def test_shards_do_the_same_as_one(clerk: Any, things: Any, small_batches: None) -> None:
    things(50)
    operation = run(clerk, "probe.name-and-count", shards=3)
    assert operation.state == "succeeded", operation.error
    assert all(thing.text == f"thing {thing.pk}" and thing.touched == 1 for thing in Thing.objects.all())
    assert [(s["processed"], s["changed"]) for s in operation.result["steps"]] == [(50, 50)] * 2
    children = operation.children.order_by("child_index")
    assert [(c.name, c.input["step"]) for c in children] == [
        ("migrations.shard", s) for s in ["name"] * 3 + ["count-named"] * 3
    ]
    assert [c.result["report"]["processed"] for c in children] == [16, 17, 17] * 2
    assert kinds(operation) == ["step_started", "step_completed"] * 2 + ["completed"]


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 5])
def test_shards_that_crash_change_no_record_twice(
    clerk: Any, things: Any, small_batches: None, checkpoints: int
) -> None:
    things(50)
    with crash_after(checkpoints=checkpoints, times=4):
        operation = run(clerk, "probe.count", shards=4)
    assert operation.state == "succeeded", operation.error
    assert touches() == {1: 50}


def test_what_shards_rejected_is_the_runs_own_and_is_tried_again(clerk: Any, things: Any, hurting: Any) -> None:
    keys = things(30)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk in keys[::7]:
            raise RejectItem("unlucky", "It is unlucky.")

    hurting(hurt)
    first = run(clerk, "probe.count", shards=3)
    assert (first.result["failed"], first.rejected) == (5, 5)
    assert list(first.rejects.values_list("position", "raw")) == [(n, f"count {keys[n]}") for n in (0, 7, 14, 21, 28)]
    hurting(lambda step, thing: None)
    second = run(clerk, "probe.count", retry_rejects=str(first.pk))
    assert (second.result["processed"], touches()) == (5, {1: 30})


def test_all_shards_together_may_reject_so_many_and_no_more(
    clerk: Any, things: Any, small_batches: None, hurting: Any
) -> None:
    keys = things(60)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk in bad:
            raise RejectItem("unlucky", "It is unlucky.")

    hurting(hurt)
    bad = {*keys[:5], *keys[20:25], *keys[40:45]}
    operation = run(clerk, "probe.count", shards=3, max_errors=12)
    assert (operation.state, operation.error["code"]) == ("failed", "child_failed")
    assert "15 records failed in all shards together, 12 are allowed" in operation.error["message"]
    bad = set()
    second = run(clerk, "probe.count", retry_rejects=str(operation.pk))
    assert second.result["changed"] == 15


def test_a_few_records_are_not_worth_a_shard(clerk: Any, things: Any) -> None:
    things(2)
    operation = run(clerk, "probe.count", shards=8)
    assert (operation.children_total, touches()) == (0, {1: 2})


def test_a_shard_cannot_be_started_by_a_person(client: Any) -> None:
    answer = client.post("/migrations/shard", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_operation")
