"""Good requests that cannot be accepted now, and operations that must not meet."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection
from rest_framework.test import APIClient

from lro.exceptions import AlreadyActive, Overloaded, Problem, QuotaExceeded
from lro.lifecycle import retries, transitions
from lro.models import Operation
from lro.runtime import admission, control, executor, queueing, registry, submission
from lro.states import HELD

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


@pytest.fixture(autouse=True)
def counted_anew() -> Iterator[None]:
    admission._backlog.forget()
    yield
    admission._backlog.forget()


def submit(owner: Any, name: str = "counts", key: str | None = None, **data: Any) -> Operation:
    return submission.submit(f"probe.{name}", data or {"to": 1}, owner, idempotency_key=key).operation


def state(operation: Operation) -> str:
    return str(Operation.objects.get(pk=operation.pk).state)


class TestAQuota:
    def test_of_active_operations_frees_a_place_when_one_ends(self, alice: Any, bob: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_ACTIVE_PER_OWNER": 2}
        first, _ = submit(alice), submit(alice)
        with pytest.raises(QuotaExceeded, match="At most 2 operations"):
            submit(alice)
        submit(bob)
        executor.execute(first.pk)
        submit(alice)
        assert Operation.objects.filter(owner=alice).count() == 3

    def test_of_active_operations_is_not_got_round_by_retries(self, alice: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_ACTIVE_PER_OWNER": 1}
        ended = []
        for _ in range(2):
            ended.append(submit(alice))
            control.act("cancel", ended[-1].pk, "alice")
        client = APIClient()
        client.force_authenticate(alice)
        answers = [client.post(f"/operations/{one.pk}/retry") for one in ended]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert (answers[1].json()["code"], answers[1]["Retry-After"]) == ("quota_exceeded", "5")
        assert [state(one) for one in ended] == ["queued", "cancelled"]
        assert client.post(f"/operations/{ended[0].pk}/retry").status_code == 200, "a repeat is harmless"
        executor.execute(ended[0].pk)

    def test_of_one_class_is_not_got_round_by_retries(self, alice: Any) -> None:
        first = submit(alice, "replaces", thing="a")
        control.act("cancel", first.pk, "alice")
        for thing in "bcd":
            submit(alice, "replaces", thing=thing)
        with pytest.raises(QuotaExceeded, match=r"At most 3 probe\.replaces"):
            control.act("retry", first.pk, "alice")

    def test_of_active_operations_lets_the_children_of_a_family_be_retried(self, alice: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_ACTIVE_PER_OWNER": 1}
        parent = submit(alice, "splits", child="probe.counts", inputs=[{"to": 1}] * 2)
        executor.execute(parent.pk)
        child = parent.children.first()
        control.act("cancel", child.pk, "alice")
        control.act("retry", parent.pk, "alice")
        assert {row.state for row in parent.children.all()} == {"queued"}

    def test_of_submissions_in_a_minute_counts_what_has_ended_too(self, alice: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_SUBMISSIONS_PER_MINUTE": 1}
        executor.execute(submit(alice).pk)
        with pytest.raises(QuotaExceeded, match="in a minute") as refusal:
            submit(alice)
        assert refusal.value.retry_after == 60

    def test_of_one_class_leaves_the_others_alone(self, alice: Any) -> None:
        for thing in "abc":
            submit(alice, "replaces", thing=thing)
        with pytest.raises(QuotaExceeded, match=r"At most 3 probe\.replaces"):
            submit(alice, "replaces", thing="d")
        submit(alice)

    def test_does_not_count_children_and_does_not_stop_them(self, alice: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_ACTIVE_PER_OWNER": 1}
        parent = submit(alice, "splits", child="probe.counts", inputs=[{"to": 1}] * 3)
        executor.execute(parent.pk)
        assert parent.children.count() == 3
        for child in parent.children.all():
            executor.execute(child.pk)
        executor.execute(parent.pk)
        assert state(parent) == "succeeded"

    def test_answers_a_repeated_request_with_the_operation_that_it_made(self, alice: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_ACTIVE_PER_OWNER": 1}
        assert submit(alice, key="once") == submit(alice, key="once")

    def test_holds_for_requests_at_the_same_instant(self, alice: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_ACTIVE_PER_OWNER": 3}

        def one(_: int) -> bool:
            try:
                submit(alice)
                return True
            except QuotaExceeded:
                return False
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(one, range(16))) == 3

    def test_is_a_429_that_says_when_to_come_back(self, alice: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_ACTIVE_PER_OWNER": 1}
        client = APIClient()
        client.force_authenticate(alice)
        assert client.post("/probe/counts", {"to": 1}, format="json").status_code == 200
        answer = client.post("/probe/counts", {"to": 1}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
        assert int(answer.headers["Retry-After"]) > 0


class TestTooMuchWork:
    def test_is_a_503_for_everybody_until_some_is_done(self, alice: Any, bob: Any, settings: Any) -> None:
        settings.LRO = {**settings.LRO, "MAX_QUEUED": 2}
        first, _ = submit(alice), submit(alice)
        admission._backlog.forget()
        client = APIClient()
        client.force_authenticate(bob)
        answer = client.post("/probe/counts", {"to": 1}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert int(answer.headers["Retry-After"]) > 0
        with pytest.raises(Overloaded):
            submit(alice)
        executor.execute(first.pk)
        admission._backlog.forget()
        submit(bob)


class TestASingleFlight:
    def test_lets_the_second_wait_and_wakes_it_when_the_first_ends(self, alice: Any, bob: Any, sent: list[Any]) -> None:
        first, second = submit(alice, "queues-up", thing="x"), submit(bob, "queues-up", thing="x")
        assert transitions.claim(second.pk, "w") is None
        sent.clear()
        executor.execute(first.pk)
        assert sent == [second.pk]
        executor.execute(second.pk)
        assert (state(first), state(second)) == ("succeeded", "succeeded")

    def test_keeps_its_place_through_retry_and_pause(self, alice: Any) -> None:
        first, second = submit(alice, "queues-up", thing="x"), submit(alice, "queues-up", thing="x")
        held = transitions.claim(first.pk, "w")
        assert held is not None
        transitions.end_badly(held, retries.lost("gone"))
        assert state(first) == "retrying"
        assert transitions.claim(second.pk, "w") is None
        control.act("pause", first.pk, "alice")
        assert transitions.claim(second.pk, "w") is None
        control.act("cancel", first.pk, "alice")
        assert transitions.claim(second.pk, "w") is not None
        control.act("cancel", second.pk, "alice")
        transitions.stop(Operation.objects.get(pk=second.pk))

    def test_on_another_thing_and_without_one_is_free(self, alice: Any) -> None:
        claimed = [
            transitions.claim(submit(alice, "queues-up", thing=t).pk, "w")  # type: ignore[arg-type]
            for t in ("x", "y", None, None)
        ]
        assert None not in claimed
        for held in claimed:
            transitions.succeed(held, None, [])  # type: ignore[arg-type]

    def test_is_kept_where_many_claim_at_once(self, alice: Any) -> None:
        waiting = [submit(alice, "queues-up", thing="x") for _ in range(8)]

        def claim(operation: Operation) -> bool:
            try:
                return transitions.claim(operation.pk, "w") is not None
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(claim, waiting)) <= 1
        held = Operation.objects.get(pk=waiting[0].pk)
        assert held.state in HELD
        transitions.succeed(held, None, [])
        for row in waiting[1:]:
            control.act("cancel", row.pk, "alice")

    def test_that_rejects_names_the_operation_that_is_at_work(self, alice: Any, bob: Any) -> None:
        first = submit(alice, "gives-way", thing="x")
        with pytest.raises(AlreadyActive, match=str(first.pk)):
            submit(alice, "gives-way", thing="x")
        with pytest.raises(AlreadyActive) as refusal:
            submit(bob, "gives-way", thing="x")
        assert str(first.pk) not in refusal.value.message  # it is not bob's to know
        client = APIClient()
        client.force_authenticate(alice)
        answer = client.post("/probe/gives-way", {"thing": "x"}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "already_active")
        executor.execute(first.pk)
        submit(alice, "gives-way", thing="x")

    def test_tells_resources_apart_whose_long_names_begin_alike(self, alice: Any) -> None:
        first, second = (submit(alice, "gives-way", thing="x" * 300 + end) for end in "ab")
        with pytest.raises(AlreadyActive):
            submit(alice, "gives-way", thing="x" * 300 + "a")
        for one in (first, second):
            executor.execute(one.pk)

    def test_that_rejects_does_so_at_the_same_instant_and_for_a_retry(self, alice: Any) -> None:
        def one(_: int) -> int:
            try:
                submit(alice, "gives-way", thing="x")
                return 1
            except AlreadyActive:
                return 0
            finally:
                connection.close()

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(one, range(12))) == 1
        first = Operation.objects.get()
        control.act("cancel", first.pk, "alice")
        second = submit(alice, "gives-way", thing="x")
        with pytest.raises(AlreadyActive):
            control.act("retry", first.pk, "alice")
        executor.execute(second.pk)
        control.act("retry", first.pk, "alice")
        assert state(first) == "queued"

    def test_that_replaces_cancels_the_one_before_and_comes_after_it(self, alice: Any) -> None:
        waiting, running = submit(alice, "replaces", thing="y"), submit(alice, "replaces", thing="x")
        held = transitions.claim(running.pk, "w")
        assert held is not None
        newest = submit(alice, "replaces", thing="x")
        assert (state(waiting), state(running)) == ("queued", "cancelling")
        assert transitions.claim(newest.pk, "w") is None
        transitions.stop(held)
        executor.execute(newest.pk)
        assert (state(running), state(newest)) == ("cancelled", "succeeded")

    def test_that_replaces_leaves_the_later_one_of_two_that_came_at_once(
        self, alice: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin, begun = submission._begin, list[Any]()
        monkeypatch.setattr(submission, "_begin", lambda *of: begun.append(of))
        first, second = (submit(alice, "replaces", thing="x") for _ in range(2))
        for late in begun:  # both are recorded before either takes the other's place
            begin(*late)
        assert (state(first), state(second)) == ("cancelled", "queued")

    def test_that_replaces_does_so_though_its_process_died_before_it_came_to_it(
        self, alice: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(submission, "_begin", lambda *of: None)
        paused, other = submit(alice, "replaces", thing="x"), submit(alice, "replaces", thing="y")
        control.act("pause", paused.pk, "alice")
        newest = submit(alice, "replaces", thing="x")
        assert (admission.replace_forgotten(), admission.replace_forgotten()) == (1, 0)
        assert (state(paused), state(other), state(newest)) == ("cancelled", "queued", "queued")
        control.act("retry", paused.pk, "alice")
        assert admission.replace_forgotten() == 0, "somebody wants it all the same"

    def test_does_not_let_a_family_stand_in_its_own_way(self, alice: Any) -> None:
        parent = submit(alice, "splits", child="probe.queues-up", inputs=[{"thing": "x"}] * 2)
        executor.execute(parent.pk)
        for child in parent.children.order_by("child_index"):
            executor.execute(child.pk)
        executor.execute(parent.pk)
        assert state(parent) == "succeeded"


@pytest.mark.parametrize("is_committed", [True, False])
def test_what_was_prepared_is_kept_where_nobody_knows_whether_the_operation_was_recorded(
    alice: Any, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    discarded: list[Any] = []
    commit = connection._commit  # type: ignore[attr-defined]

    def break_off() -> None:
        if is_committed:
            commit()
        connection.close()
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(registry.find("probe.counts"), "discard", classmethod(lambda cls, of: discarded.append(of)))
    with monkeypatch.context() as broken:
        broken.setattr(connection, "_commit", break_off)
        with pytest.raises(OperationalError):
            submit(alice, key="k")
    assert Operation.objects.exists() == is_committed
    assert discarded == []
    assert submit(alice, key="k") == Operation.objects.get()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The operations whose wakes were sent at once."""
    ids: list[Any] = []
    monkeypatch.setattr(queueing, "wake_now", lambda operation: ids.append(operation.pk))
    return ids


def test_the_class_is_asked_whether_a_new_operation_may_begin_and_no_repeated_one(alice: Any, monkeypatch: Any) -> None:
    def refuse(cls: Any, prepared: Any, owner: Any) -> None:
        assert (prepared["thing"], owner) == ("x", alice)
        raise Problem(409, "not_yet", "It cannot begin yet.")

    name, data = "probe.gives-way", {"thing": "x"}
    first = submission.submit(name, data, alice, idempotency_key="k").operation
    monkeypatch.setattr(registry.find(name), "admit", classmethod(refuse))
    assert submission.submit(name, data, alice, idempotency_key="k").operation == first
    for ask in (submission.submit, submission.check):
        with pytest.raises(Problem, match="cannot begin yet"):
            ask(name, data, alice)
    assert Operation.objects.count() == 1
