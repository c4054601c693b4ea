"""Any acts, in any order, by those who hold an operation and those who no longer do, beside a model of a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_as_test

from lro.conf import conf
from lro.exceptions import LeaseLost, NotAllowedNow
from lro.lifecycle import retries, transitions
from lro.models import Operation
from lro.runtime import executor, submission
from lro.states import HELD, PARKED, TERMINAL, State, sources
from lro.testing import assert_consistent

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
LOST = retries.lost("gone")


@dataclass
class Model:
    """What an operation must be, said without a database."""

    parent: Model | None = None
    state: State = State.QUEUED
    fence: int | None = None  # of who holds it
    checkpoint: int | None = None
    failures: int = 0
    crashes: int = 0
    policy: str = ""
    children: list[Model] = field(default_factory=list)

    @property
    def pending(self) -> int:
        return sum(child.state not in TERMINAL for child in self.children)

    @property
    def is_to_wait(self) -> bool:
        """Children are at work, and none has ended that fails it."""
        bad = any(child.state in TERMINAL - {State.SUCCEEDED} for child in self.children)
        return bool(self.pending and self.policy and not (bad and self.policy == "fail_parent"))

    def held_by(self, claim: Operation) -> bool:
        return self.state in HELD and self.fence == claim.fence

    def become(self, state: State) -> None:
        self.state = state
        if state in TERMINAL and self.parent is not None and self.parent.state is State.WAITING:
            if state is not State.SUCCEEDED and self.parent.policy == "fail_parent":
                self.parent.become(State.FAILED)
            elif self.parent.pending == 0:
                self.parent.become(State.QUEUED)

    def stop(self) -> bool:
        stopped = {State.CANCELLING: State.CANCELLED, State.PAUSING: State.PAUSED}.get(self.state)
        if stopped is not None:
            self.become(stopped)
        return stopped is not None

    def end_badly(self, may_retry: bool) -> None:
        if self.stop():
            return
        self.failures += 1
        self.become(State.RETRYING if may_retry and self.failures < conf().max_attempts else State.FAILED)


class Story(RuleBasedStateMachine):
    operations: Bundle[Any] = Bundle("operations")
    claims: Bundle[Any] = Bundle("claims")
    owner: Any = None

    @initialize()
    def begin(self) -> None:
        self.models: dict[Any, Model] = {}
        self.fences: dict[Any, int] = {}

    def teardown(self) -> None:
        assert_consistent()
        Operation.objects.all().delete()

    # People

    @rule(target=operations)
    def submit(self) -> Any:
        operation = submission.submit("probe.saves", {"to": 1}, self.owner).operation
        self.models[operation.pk] = Model()
        return operation.pk

    @rule(pk=operations)
    def cancel(self, pk: Any) -> None:
        model = self.models[pk]
        after = State.CANCELLED if model.state in PARKED else State.CANCELLING
        self._asked(
            transitions.cancel, pk, PARKED | HELD | {State.CANCELLED}, {State.CANCELLED: State.CANCELLED}, after
        )

    @rule(pk=operations)
    def pause(self, pk: Any) -> None:
        model = self.models[pk]
        after = State.PAUSING if model.state in HELD else State.PAUSED
        allowed = {State.QUEUED, State.RETRYING, State.WAITING, State.RUNNING, State.PAUSING, State.PAUSED}
        self._asked(transitions.pause, pk, allowed, {}, after)

    @rule(pk=operations)
    def resume(self, pk: Any) -> None:
        model = self.models[pk]
        after = State.WAITING if model.is_to_wait else State.QUEUED
        same = {state: state for state in (State.QUEUED, State.RUNNING, State.WAITING)}
        self._asked(transitions.resume, pk, {State.PAUSED, *same}, same, after)

    @rule(pk=operations)
    def retry(self, pk: Any) -> None:
        model = self.models[pk]
        if model.state in (State.FAILED, State.CANCELLED):
            model.failures = model.crashes = 0
        allowed = {State.FAILED, State.CANCELLED, State.QUEUED}
        self._asked(lambda pk, by: transitions.retry_by_hand(pk, by, from_start=False), pk, allowed, {}, State.QUEUED)

    def _asked(self, act: Any, pk: Any, allowed: Any, same: dict[State, State], after: State) -> None:
        model = self.models[pk]
        if model.state not in allowed:
            with pytest.raises(NotAllowedNow):
                act(pk, "somebody")
            return
        assert act(pk, "somebody").pk == pk
        target = same.get(model.state, after)
        if target is not model.state:
            model.become(target)

    # Workers, with the claim that they have or once had

    @rule(target=claims, pk=operations)
    def claim(self, pk: Any) -> Any:
        model = self.models[pk]
        claim = transitions.claim(pk, "elsewhere/1/1")
        assert (claim is not None) == (model.state is State.QUEUED)
        if claim is None:
            return multiple()
        model.state, model.fence, model.policy = State.RUNNING, claim.fence, ""
        assert claim.checkpoint == model.checkpoint
        return claim

    @rule(claim=claims, cursor=st.integers(0, 9))
    def checkpoint(self, claim: Operation, cursor: int) -> None:
        model = self.models[claim.pk]
        context = executor.Execution(claim).context
        if model.held_by(claim):
            context.checkpoint(cursor)
            model.checkpoint, model.failures, model.crashes = cursor, 0, 0
        else:
            with pytest.raises(LeaseLost):
                context.checkpoint(cursor)

    @rule(target=operations, claim=claims)
    def spawn(self, claim: Operation) -> Any:
        model = self.models[claim.pk]
        context = executor.Execution(claim).context
        key = [f"child {len(model.children)}"]
        if claim.depth >= 2 or not model.held_by(claim):
            if not model.held_by(claim):
                with pytest.raises(LeaseLost):
                    context.spawn("probe.saves", [{"to": 1}], keys=key)
            return multiple()
        context.spawn("probe.saves", [{"to": 1}], keys=key)
        child = Operation.objects.get(parent_id=claim.pk, child_key=key[0])
        self.models[child.pk] = Model(parent=model)
        model.children.append(self.models[child.pk])
        return child.pk

    @rule(claim=claims, policy=st.sampled_from(["fail_parent", "collect"]))
    def wait(self, claim: Operation, policy: str) -> None:
        model = self.models[claim.pk]
        ended = transitions.wait(claim, policy)
        assert (ended is not None) == model.held_by(claim)
        if ended is not None and not model.stop():
            model.failures, model.crashes, model.policy = 0, 0, policy
            model.become(State.WAITING if model.is_to_wait else State.QUEUED)

    @rule(claim=claims)
    def succeed(self, claim: Operation) -> None:
        model = self.models[claim.pk]
        assert (transitions.succeed(claim, "done", []) is not None) == model.held_by(claim)
        if model.held_by(claim):
            model.become(State.SUCCEEDED)

    @rule(claim=claims, may_retry=st.booleans())
    def end_badly(self, claim: Operation, may_retry: bool) -> None:
        model = self.models[claim.pk]
        failure = LOST if may_retry else retries.Failure("no_luck", "It failed.", "user", is_retryable=False)
        assert (transitions.end_badly(claim, failure) is not None) == model.held_by(claim)
        if model.held_by(claim):
            model.end_badly(may_retry)

    @rule(claim=claims)
    def rescue(self, claim: Operation) -> None:
        model = self.models[claim.pk]
        assert (transitions.rescue(claim, LOST) is not None) == model.held_by(claim)
        if model.held_by(claim):
            is_stopping = model.state is not State.RUNNING
            model.crashes += not is_stopping
            model.end_badly(model.crashes < conf().max_crashes)

    @rule(claim=claims)
    def release(self, claim: Operation) -> None:
        model = self.models[claim.pk]
        is_running = model.held_by(claim) and model.state is State.RUNNING
        assert (transitions.release(claim, "deploy") is not None) == is_running
        if is_running:
            model.become(State.QUEUED)

    @rule(claim=claims)
    def stop(self, claim: Operation) -> None:
        model = self.models[claim.pk]
        should = model.held_by(claim) and model.state is not State.RUNNING
        assert (transitions.stop(claim) is not None) == should
        if should:
            model.stop()

    # The reconciler

    @rule(pk=operations)
    def requeue(self, pk: Any) -> None:
        model = self.models[pk]
        assert (transitions.requeue(pk) is not None) == (model.state is State.RETRYING)
        if model.state is State.RETRYING:
            model.become(State.QUEUED)

    @rule(pk=operations)
    def expire(self, pk: Any) -> None:
        model = self.models[pk]
        failure = retries.timed_out("deadline_exceeded", "Too late.")
        expired = transitions.expire(Operation.objects.get(pk=pk), failure)
        assert (expired is not None) == (model.state in sources(State.EXPIRED))
        if expired is not None:
            model.become(State.EXPIRED)

    @invariant()
    def rows_and_model_agree(self) -> None:
        for row in Operation.objects.all():
            model = self.models[row.pk]
            assert (row.state, row.checkpoint, row.failures) == (model.state, model.checkpoint, model.failures)
            assert row.children_pending == model.pending
            assert row.fence >= self.fences.get(row.pk, 0), "a fence went back"
            self.fences[row.pk] = row.fence


def test_whatever_is_done_in_whatever_order_the_rows_are_as_the_model_says(alice: Any, settings_: Any) -> None:
    Story.owner = alice
    limits = settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_as_test(Story, settings=limits)


@pytest.fixture
def settings_(settings: Any) -> Any:
    settings.LRO = {**settings.LRO, "RETRY_BASE_SECONDS": timedelta(0).total_seconds()}
    return settings
