"""What the item form gives to its author: each item exactly once, whatever happens in the middle."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from lro import Fail, ItemOperation, RejectItem, Retry
from lro.exceptions import Interrupted
from lro.lifecycle import retries, transitions
from lro.models import Operation
from lro.runtime import executor, item_run, reconciler, submission
from lro.testing import run_attempt
from tests.probe import item_operations
from tests.probe.item_operations import Marking
from tests.probe.models import Mark, Named, Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]
PAST = Now() - timedelta(seconds=1)
DOCS = Path(__file__).resolve().parents[2] / "docs"
is_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'")

Hurt = Callable[[Any, Any], object]


@pytest.fixture
def hurting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hurt], None]:
    return lambda hurt: monkeypatch.setattr(Marking, "hurt", staticmethod(hurt))


@pytest.fixture
def throttled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], float | None]], None]:
    return lambda throttle: monkeypatch.setattr(Marking, "throttle", staticmethod(throttle))


def submit(owner: Any, name: str, **data: Any) -> Operation:
    return submission.submit(name, data, owner).operation


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def drive(operation: Operation) -> Operation:
    """Attempt after attempt, without the waiting between them; what lost its lease is taken over."""
    for _ in range(200):
        executor.execute(operation.pk)
        operation = fresh(operation)
        if operation.is_terminal:
            return operation
        if operation.is_held:
            transitions.rescue(operation, retries.lost("gone"))
        Operation.objects.filter(pk=operation.pk).update(run_at=PAST)
        reconciler.requeue_due()
    raise AssertionError(f"it does not end: {operation.state} {operation.error}")


def things(count: int) -> list[int]:
    Thing.objects.bulk_create(Thing() for _ in range(count))
    return list(Thing.objects.order_by("pk").values_list("pk", flat=True))


def marks() -> Counter[str]:
    return Counter(Mark.objects.values_list("item", flat=True))


def kinds(operation: Operation, kind: str) -> list[dict[str, Any]]:
    return list(operation.events.filter(kind=kind).values_list("data", flat=True))


# The ordinary


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 23])
@pytest.mark.parametrize("name", ["probe.marks-list", "probe.marks-stream"])
def test_each_item_is_processed_once(alice: Any, name: str, count: int) -> None:
    operation = run_attempt(name, {"to": count}, alice)
    assert operation.state == "succeeded", operation.error
    assert operation.result == {"processed": count, "rejected": 0, "reject_codes": {}, "dry_run": False}
    assert marks() == Counter(str(index) for index in range(count))
    assert operation.progress["current"] == count
    assert operation.progress["total"] == (count if name == "probe.marks-list" else None)


@pytest.mark.parametrize("name", ["probe.marks-things", "probe.marks-untouched", "probe.marks-locked"])
def test_each_row_is_processed_once_in_the_order_of_its_key(alice: Any, name: str) -> None:
    keys = things(23)
    operation = run_attempt(name, {}, alice)
    assert operation.result["processed"] == operation.progress["total"] == 23
    assert list(Mark.objects.order_by("pk").values_list("item", flat=True)) == [str(key) for key in keys]
    assert set(Thing.objects.values_list("touched", flat=True)) == {1}


def test_a_batch_is_a_query_by_key_and_never_by_offset(alice: Any, django_assert_max_num_queries: Any) -> None:
    things(12)
    with django_assert_max_num_queries(500) as captured:
        run_attempt("probe.marks-things", {}, alice)
    reads = [q["sql"] for q in captured if q["sql"].startswith("SELECT") and 'FROM "probe_thing"' in q["sql"]]
    batches = [sql for sql in reads if "LIMIT 5" in sql]
    assert len(batches) == 4
    assert not any("OFFSET" in sql for sql in reads)
    assert all('"id" > ' in sql for sql in batches[1:])


def test_rows_that_come_and_go_meanwhile(alice: Any, hurting: Any) -> None:
    """Ahead of the place they are seen, behind it they are not, and what is deleted is not brought back."""
    keys = things(20)
    Thing.objects.filter(pk=keys[0]).delete()

    def disturb(task: Any, thing: Thing) -> None:
        if thing.pk == keys[6]:
            Thing(pk=keys[0]).save(force_insert=True)
            Thing.objects.filter(pk__in=[keys[1], keys[13]]).delete()
            Thing(pk=keys[-1] + 1).save(force_insert=True)

    hurting(disturb)
    operation = run_attempt("probe.marks-things", {}, alice)
    seen = [key for key in [*keys[1:], keys[-1] + 1] if key != keys[13]]
    assert marks() == Counter(map(str, seen))
    assert operation.result["processed"] == len(seen)
    assert not Thing.objects.filter(pk__in=[keys[1], keys[13]]).exists()


def test_rows_with_uuid_keys_go_on_from_where_they_were(alice: Any, hurting: Any) -> None:
    keys = [str(UUID(int=(7919 * index * 2**100) % 2**128)) for index in range(1, 18)]
    Named.objects.bulk_create(Named(pk=key) for key in keys)
    broken = set(sorted(keys)[::4])

    def break_once(task: Any, item: Named) -> None:
        if str(item.pk) in broken:
            broken.discard(str(item.pk))
            raise RuntimeError("broken")

    hurting(break_once)
    operation = drive(submit(alice, "probe.marks-named"))
    assert operation.state == "succeeded", operation.error
    assert operation.attempt == 6
    assert marks() == Counter(keys)


def test_rows_that_leave_the_queryset_keep_the_total_of_the_beginning(alice: Any, hurting: Any) -> None:
    keys = things(12)
    broken = {keys[7]}

    def break_once(task: Any, thing: Thing) -> None:
        if thing.pk in broken:
            broken.clear()
            raise RuntimeError("broken")

    hurting(break_once)
    operation = drive(submit(alice, "probe.marks-untouched"))
    assert (operation.attempt, operation.progress["total"], operation.progress["current"]) == (2, 12, 12)


def test_a_queryset_without_a_place_is_refused_at_once(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for queryset in (lambda: Thing.objects.all()[:5], lambda: Thing.objects.values("pk")):
        monkeypatch.setattr(item_operations.MarksThings, "items", lambda self, rows=queryset, **data: rows())
        operation = run_attempt("probe.marks-things", {}, alice)
        assert (operation.state, operation.error["code"]) == ("failed", "type_error")
        assert "whole rows" in operation.error["message"]


# Whatever happens in the middle


def lose_the_lease(task: Any) -> None:
    task.op._heartbeat.state = None


def cut_the_connection(task: Any) -> None:
    if connection.vendor == "postgresql":
        connection.connection.close()


def lose_the_connection(task: Any) -> None:
    raise OperationalError("the connection is lost")


def crash(task: Any) -> None:
    raise RuntimeError("broken")


def interrupt(task: Any) -> None:
    task.op.check()
    raise Retry("later", after=0)


HURTS = [lose_the_lease, cut_the_connection, lose_the_connection, crash, interrupt]
NAMES = ["probe.marks-things", "probe.marks-locked", "probe.marks-list", "probe.marks-stream"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(NAMES), count=st.integers(0, 30))
def test_each_item_takes_effect_exactly_once(
    alice: Any, hurting: Any, data: st.DataObject, name: str, count: int, settings: Any
) -> None:
    settings.LRO = {"MAX_CRASHES": 1000}
    Mark.objects.all().delete()
    Thing.objects.all().delete()
    keys = things(count) if name in NAMES[:2] else list(range(count))
    calls = st.integers(0, 2 * count + 1)
    hurts = data.draw(st.dictionaries(calls, st.sampled_from(HURTS), max_size=6), label="call of process → hurt")
    rejected = data.draw(st.sets(st.sampled_from(keys)) if keys else st.just(set()), label="rejected")
    called = iter(range(10_000))

    def hurt(task: Any, item: Any) -> None:
        hurts.get(next(called), lambda task: None)(task)
        if getattr(item, "pk", item) in rejected:
            raise RejectItem("unlucky", "It is set aside.")

    hurting(hurt)
    operation = drive(submit(alice, name, to=count))
    assert operation.state == "succeeded", operation.error
    assert marks() == Counter(str(key) for key in keys if key not in rejected)
    positions = {index for index, key in enumerate(keys) if key in rejected}
    assert set(operation.rejects.values_list("position", flat=True)) == positions
    assert operation.rejected == len(positions)
    assert sum(event["count"] for event in kinds(operation, "reject")) == len(positions)
    assert operation.result["processed"] == count - len(positions)
    assert operation.result["reject_codes"] == ({"unlucky": len(positions)} if positions else {})
    if name in NAMES[:2]:
        assert dict(Thing.objects.values_list("pk", "touched")) == {key: key not in rejected for key in keys}


@is_postgres
def test_a_connection_that_breaks_in_a_batch_spends_no_attempt(alice: Any, hurting: Any) -> None:
    keys, cuts = things(12), [3, 9]

    def cut(task: Any, thing: Thing) -> None:
        if cuts and thing.pk == keys[cuts[0]]:
            cuts.pop(0)
            cut_the_connection(task)

    hurting(cut)
    operation = run_attempt("probe.marks-things", {}, alice)
    assert (operation.state, operation.attempt) == ("succeeded", 1), operation.error
    assert marks() == Counter(map(str, keys))
    assert set(Thing.objects.values_list("touched", flat=True)) == {1}


def test_a_commit_that_went_through_unseen_is_not_made_twice(alice: Any, hurting: Any) -> None:
    failed: list[bool] = []

    def break_after_the_commit(task: Any, item: int) -> None:
        if item == 7 and not failed:
            failed.append(True)
            transaction.on_commit(lambda: lose_the_connection(task))

    hurting(break_after_the_commit)
    operation = run_attempt("probe.marks-list", {"to": 12}, alice)
    assert (operation.result["processed"], operation.attempt, failed) == (12, 1, [True])
    assert marks() == Counter(str(index) for index in range(12))


def test_a_lost_lease_leaves_nothing_of_the_batch(alice: Any, hurting: Any, throttled: Any) -> None:
    operation = submit(alice, "probe.marks-list", to=20)
    asked = iter(range(100))
    throttled(lambda: next(asked) == 2 and transitions.rescue(fresh(operation), retries.lost("gone")) and None)
    hurting(lambda task, item: item == 12 and pytest.fail("the fence comes first"))
    executor.execute(operation.pk)
    assert fresh(operation).state == "retrying"
    assert fresh(operation).checkpoint["done"] == sum(marks().values()) == 10
    transitions.cancel(operation.pk, "alice")


@is_postgres
@pytest.mark.parametrize(("deadlocks", "state"), [(3, "succeeded"), (4, "retrying")])
def test_a_deadlock_is_tried_again_three_times(alice: Any, hurting: Any, deadlocks: int, state: str) -> None:
    left = [deadlocks]

    def deadlock(task: Any, item: int) -> None:
        if item == 7 and left[0]:
            left[0] -= 1
            error = OperationalError("deadlock detected")
            raise error from SimpleDeadlock()

    hurting(deadlock)
    operation = run_attempt("probe.marks-list", {"to": 12}, alice)
    assert operation.state == state
    if state == "succeeded":
        assert marks() == Counter(str(index) for index in range(12))
    else:
        assert operation.error is None or operation.error["kind"] == "infrastructure"
        assert kinds(operation, "retry.scheduled")[0]["error"]["details"] == [{"item": 7, "position": 7}]
        transitions.cancel(operation.pk, "alice")


class SimpleDeadlock(Exception):
    sqlstate = "40P01"


@is_postgres
def test_an_item_that_hangs_does_not_keep_the_row_from_others(alice: Any, hurting: Any, settings: Any) -> None:
    settings.LRO = {"SELF_FENCE_SECONDS": 2.0}
    hangs, goes_on = threading.Event(), threading.Event()
    hurting(lambda task, item: (hangs.set(), goes_on.wait(60)) if item == 3 else None)
    operation = submit(alice, "probe.marks-list", to=5)
    thread = threading.Thread(target=run_in_thread, args=(operation,))
    thread.start()
    assert hangs.wait(60)
    with ThreadPoolExecutor(1) as other:
        try:
            other.submit(from_another_thread, transitions.cancel, operation.pk, "alice").result(timeout=30)
        finally:
            goes_on.set()
    thread.join()
    assert (fresh(operation).state, marks()) == ("cancelled", Counter())


@is_postgres
def test_batches_that_leave_no_time_between_them_keep_their_lease(
    alice: Any, hurting: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LRO = {**settings.LRO, "SELF_FENCE_SECONDS": 3.0, "LEASE_SECONDS": 5.0}
    monkeypatch.setattr(item_operations.MarksList, "batch_items", 1_000)
    began = time.monotonic()
    hurting(lambda task, item: time.sleep(0.01) if time.monotonic() < began + 6 else None)
    operation = submit(alice, "probe.marks-list", to=1_000)
    executor.execute(operation.pk)
    assert (fresh(operation).state, fresh(operation).attempt) == ("succeeded", 1)


@is_postgres
def test_a_cancel_is_heard_between_checkpoints_that_leave_no_time_between_them(alice: Any, settings: Any) -> None:
    settings.LRO = {**settings.LRO, "CANCEL_GRACE_SECONDS": 60.0}
    held = transitions.claim(submit(alice, "probe.marks-list", to=1).pk, "w")
    assert held is not None
    attempt = executor.Execution(held)

    def go_on() -> None:
        for number in itertools.count(1):
            attempt.context.checkpoint(number, save=lambda: time.sleep(0.5))

    attempt.start_heartbeat()
    try:
        attempt.context.checkpoint(0, save=lambda: time.sleep(1))
        transitions.cancel(held.pk, "alice")
        began = time.monotonic()
        with pytest.raises(Interrupted):
            go_on()
        assert time.monotonic() - began < 30, "in a part of its grace"
    finally:
        attempt.stop_heartbeat()
    transitions.stop(held)


def from_another_thread(act: Callable[..., object], *args: Any) -> None:
    try:
        act(*args)
    finally:
        connection.close()


def run_in_thread(operation: Operation) -> None:
    from_another_thread(executor.execute, operation.pk)


# Errors and rejects


def test_an_error_names_its_item_and_the_next_attempt_goes_on_from_the_last_batch(alice: Any, hurting: Any) -> None:
    keys = things(12)
    begun: list[int] = []

    def break_at_the_ninth(task: Any, thing: Thing) -> None:
        begun.append(thing.pk)
        if thing.pk == keys[8] and begun.count(thing.pk) == 1:
            raise ValueError("no good")

    hurting(break_at_the_ninth)
    operation = submit(alice, "probe.marks-things")
    executor.execute(operation.pk)
    error = kinds(operation, "retry.scheduled")[0]["error"]
    assert (error["code"], error["message"]) == ("value_error", "no good")
    assert error["details"] == [{"item": str(keys[8]), "position": 8}]
    assert "break_at_the_ninth" in operation.attempts.get().traceback
    assert sum(marks().values()) == 5
    assert drive(operation).state == "succeeded"
    assert [begun.count(key) for key in keys] == [1] * 5 + [2] * 4 + [1] * 3


def test_a_fail_of_an_item_is_final_and_names_it(alice: Any, hurting: Any) -> None:
    def fail(task: Any, item: int) -> None:
        if item == 6:
            raise Fail("no_luck", "Never.", [{"place": "here"}])

    hurting(fail)
    operation = run_attempt("probe.marks-list", {"to": 12}, alice)
    assert (operation.state, operation.error["code"]) == ("failed", "no_luck")
    assert operation.error["details"] == [{"place": "here"}, {"item": 6, "position": 6}]


@is_postgres
def test_what_is_refused_at_the_commit_names_the_batch(alice: Any, hurting: Any) -> None:
    hurting(lambda task, item: Mark.objects.create(item="orphan", thing_id=-1) if item == 7 else None)
    operation = submit(alice, "probe.marks-list", to=12)
    executor.execute(operation.pk)
    error = kinds(operation, "retry.scheduled")[0]["error"]
    assert (error["code"], error["details"]) == ("integrity_error", [{"items": [5, 9], "position": 5}])
    transitions.cancel(operation.pk, "alice")


def test_a_rejected_item_is_undone_alone_even_after_a_refusal_of_the_database(alice: Any, hurting: Any) -> None:
    keys = things(3)

    def repeat(task: Any, thing: Thing) -> None:
        if thing.pk == keys[1]:
            try:
                Thing(pk=keys[0]).save(force_insert=True)
            except IntegrityError:
                raise RejectItem("duplicate", "It is there\0 already.", column="pk") from None

    hurting(repeat)
    operation = run_attempt("probe.marks-things", {}, alice)
    assert operation.state == "succeeded", operation.error
    assert marks() == Counter([str(keys[0]), str(keys[2])])
    reject = operation.rejects.get()
    assert (reject.position, reject.code, reject.column, reject.raw) == (1, "duplicate", "pk", str(keys[1]))
    assert reject.message == "It is there� already."


def reject_all(task: Any, item: Any) -> None:
    raise RejectItem("unlucky", "It is set aside.")


def test_too_many_rejects_fail_the_operation_and_are_kept(alice: Any, hurting: Any) -> None:
    hurting(reject_all)
    operation = run_attempt("probe.marks-few-rejects", {"to": 12}, alice)
    assert (operation.state, operation.error["code"]) == ("failed", "too_many_rejects")
    assert operation.error["message"] == "3 of 3 items were rejected, 2 are allowed."
    assert operation.rejected == operation.rejects.count() == 3


@pytest.mark.parametrize(("rejected", "state"), [(6, "succeeded"), (7, "failed")])
def test_a_share_of_rejects_is_of_all_items(alice: Any, rejected: int, state: str) -> None:
    Thing.objects.bulk_create(Thing(text="?" if index < rejected else "030 1234567") for index in range(12))
    operation = run_attempt("probe.normalise-phones", {}, alice)
    assert operation.state == state
    assert operation.rejected == rejected
    if state == "failed":
        assert operation.error["message"] == "7 of 7 items were rejected, 0.5 of all are allowed."


def test_limits_that_make_no_sense_are_refused_at_once() -> None:
    for name, value in (("max_rejects", 1.5), ("max_rejects", -1), ("batch_items", 0)):
        with pytest.raises(ImproperlyConfigured):
            type("Senseless", (ItemOperation,), {name: value})


# Dry run


def test_a_dry_run_leaves_no_trace_but_says_what_would_have_been(alice: Any, hurting: Any) -> None:
    keys = things(23)
    called: list[str] = []
    rejects = {keys[3], keys[20]}

    def hurt(task: Any, thing: Thing) -> None:
        transaction.on_commit(lambda: called.append("on_commit"))
        if thing.pk in rejects:
            raise RejectItem("unlucky", "It is set aside.")
        if thing.pk == keys[12] and task.op.attempt == 1:
            raise RuntimeError("broken")

    hurting(hurt)
    operation = drive(submit(alice, "probe.marks-things", dry_run=True))
    assert operation.attempt == 2
    sample = [{"item": str(key), "before": {"touched": 0}, "after": {"touched": 1}} for key in keys if key != keys[3]]
    assert operation.result == {
        "processed": 21,
        "rejected": 2,
        "reject_codes": {"unlucky": 2},
        "dry_run": True,
        "sample": sample[:10],
    }
    assert operation.checkpoint["done"] == 23
    assert operation.rejects.count() == operation.rejected == 2
    assert (marks(), called) == (Counter(), [])
    assert set(Thing.objects.values_list("touched", flat=True)) == {0}


@is_postgres
def test_a_dry_run_finds_what_a_commit_would_refuse(alice: Any, hurting: Any) -> None:
    hurting(lambda task, item: Mark.objects.create(item="orphan", thing_id=-1))
    operation = submit(alice, "probe.marks-list", to=1, dry_run=True)
    executor.execute(operation.pk)
    assert kinds(operation, "retry.scheduled")[0]["error"]["code"] == "integrity_error"
    transitions.cancel(operation.pk, "alice")


def test_no_input_of_an_author_loses_the_flag_of_a_dry_run(alice: Any) -> None:
    operation = run_attempt("probe.stamps", {"to": 4, "dry_run": "true"}, alice)
    assert operation.input == {"to": 5, "dry_run": True}
    assert (operation.result["processed"], operation.result["dry_run"], marks()) == (5, True, Counter())
    assert run_attempt("probe.stamps", {"to": 4}, alice).result["dry_run"] is False
    for name in ("probe.stamps", "probe.marks-list"):
        with pytest.raises(ValidationError):
            submit(alice, name, to=1, dry_run="perhaps")


# Waiting and stopping


def test_throttling_waits_and_says_so_once(alice: Any, throttled: Any) -> None:
    answers = iter([None, 0.05, 0.05, 0.05])
    throttled(lambda: next(answers, None))
    operation = run_attempt("probe.marks-list", {"to": 12}, alice)
    assert operation.result["processed"] == 12
    assert [event["seconds"] for event in kinds(operation, "log")] == [0.05]
    assert operation.progress["message"] == ""


@pytest.mark.parametrize("seconds", [90.0, 20.0])
def test_a_long_throttling_gives_the_worker_back(
    alice: Any, throttled: Any, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once where it is long, and where short waits become a long one."""
    throttled(lambda: seconds)
    monkeypatch.setattr(item_run, "_LONGEST_WAIT", 60.0 if seconds > 60 else 20.3)
    monkeypatch.setattr(item_run.ItemRun, "_wait", lambda self, seconds: time.sleep(0.2))
    operation = submit(alice, "probe.marks-list", to=3)
    executor.execute(operation.pk)
    assert (fresh(operation).state, fresh(operation).failures) == ("queued", 0)
    assert kinds(operation, "interrupted")[0]["delay_seconds"] == seconds
    assert len(kinds(operation, "log")) == (0 if seconds > 60 else 1)
    transitions.cancel(operation.pk, "alice")


@pytest.mark.parametrize("verb", [transitions.cancel, transitions.pause])
def test_a_throttled_operation_listens(alice: Any, throttled: Any, verb: Any) -> None:
    waiting = threading.Event()
    throttled(lambda: waiting.set() or 50.0)
    operation = submit(alice, "probe.marks-list", to=12)
    thread = threading.Thread(target=run_in_thread, args=(operation,))
    thread.start()
    assert waiting.wait(60)
    verb(operation.pk, "alice")
    thread.join(30)
    assert not thread.is_alive(), "it heard of it while it waited"
    assert fresh(operation).state in ("cancelled", "paused")


@pytest.mark.parametrize("verb", [transitions.cancel, transitions.pause])
def test_a_stop_is_heard_and_keeps_what_was_done(alice: Any, hurting: Any, verb: Any) -> None:
    started = threading.Event()
    hurting(lambda task, item: (started.set(), time.sleep(0.1)))
    operation = submit(alice, "probe.marks-list", to=600)
    thread = threading.Thread(target=run_in_thread, args=(operation,))
    thread.start()
    assert started.wait(60)
    verb(operation.pk, "alice")
    thread.join(30)
    assert not thread.is_alive(), "it heard of it in half of the time that all items take"
    stopped = fresh(operation)
    assert stopped.state in ("cancelled", "paused")
    assert stopped.checkpoint["done"] == sum(marks().values()) == stopped.progress["current"] > 0


def test_a_pause_within_a_batch_cuts_it_short_and_keeps_it(alice: Any, hurting: Any) -> None:
    """As a shutdown of the worker does, which needs no row."""
    from lro.runtime import shutdown

    hurting(lambda task, item: shutdown.ask() if item == 7 else None)
    operation = submit(alice, "probe.marks-list", to=12)
    try:
        executor.execute(operation.pk)
    finally:
        shutdown.withdraw()
    assert (fresh(operation).state, fresh(operation).checkpoint["done"]) == ("queued", 8)
    assert drive(operation).state == "succeeded"
    assert marks() == Counter(str(index) for index in range(12))


def test_slow_items_make_short_batches(alice: Any, hurting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marking, "batch_seconds", 0.05)
    monkeypatch.setattr(Marking, "batch_items", 1000)
    hurting(lambda task, item: time.sleep(0.03))
    operation = run_attempt("probe.marks-stream", {"to": 12}, alice)
    assert operation.checkpoints >= 6
    assert marks() == Counter(str(index) for index in range(12))


def test_after_a_crash_the_items_before_the_deadly_one_are_saved(alice: Any, hurting: Any) -> None:
    operation = submit(alice, "probe.marks-list", to=12)
    Operation.objects.filter(pk=operation.pk).update(crashes=1)
    hurting(lambda task, item: item == 4 and lose_the_lease(task))
    executor.execute(operation.pk)
    assert fresh(operation).checkpoint["done"] == 3
    transitions.rescue(fresh(operation), retries.lost("gone"))
    transitions.cancel(operation.pk, "alice")


def test_the_example_of_the_documentation_is_what_runs_here(alice: Any) -> None:
    code = (DOCS / "item-operations.md").read_text().split("```python\n")[1].split("```")[0]
    source = Path(item_operations.__file__).read_text()
    for line in filter(None, code.splitlines()):
        if not line.startswith(("from ", "import ")):
            assert line in source, line
    Thing.objects.bulk_create(Thing(text=text) for text in ("030 / 123-4567", "+49 (30) 1234567", "by pigeon"))
    operation = run_attempt("probe.normalise-phones", {"dry_run": True}, alice)
    assert operation.result["sample"][0]["before"] == "030 / 123-4567"
    assert operation.result["sample"][0]["after"] == "0301234567"
    operation = run_attempt("probe.normalise-phones", {}, alice)
    assert list(Thing.objects.order_by("pk").values_list("text", flat=True)) == [
        "0301234567",
        "+49301234567",
        "by pigeon",
    ]
    assert operation.rejects.get().message == "'by pigeon' is no phone number."
