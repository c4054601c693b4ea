"""Whatever two ask for at the same instant, on two connections, the rows tell one legal story."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import combinations_with_replacement
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now

from lro.exceptions import LeaseLost, NotAllowedNow
from lro.lifecycle import leases, retries, transitions
from lro.models import Operation
from lro.runtime import executor, submission
from lro.testing import assert_consistent

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
LOST = retries.lost("gone")

#: What anybody may ask of an operation, given the row as it was claimed last.
VERBS: dict[str, Callable[[Operation], object]] = {
    "claim": lambda row: transitions.claim(row.pk, "other"),
    "renew": lambda row: leases.renew(row.pk, row.fence, {"current": 1}),
    "checkpoint": lambda row: executor.Execution(row).context.checkpoint(1),
    "spawn": lambda row: executor.Execution(row).context.spawn("probe.counts", {"to": 1}),
    "succeed": lambda row: transitions.succeed(row, "done", []),
    "end badly": lambda row: transitions.end_badly(row, LOST),
    "fail": lambda row: transitions.fail(row, LOST),
    "stop": transitions.stop,
    "release": lambda row: transitions.release(row, "deploy"),
    "wait": lambda row: transitions.wait(row, "fail_parent"),
    "rescue": lambda row: transitions.rescue(row, LOST),
    "expire": lambda row: transitions.expire(row, LOST),
    "requeue": lambda row: transitions.requeue(row.pk),
    "end a child": lambda row: [transitions.cancel(child.pk, "c") for child in row.children.active()],
    "cancel": lambda row: transitions.cancel(row.pk, "a"),
    "pause": lambda row: transitions.pause(row.pk, "a"),
    "resume": lambda row: transitions.resume(row.pk, "a"),
    "retry": lambda row: transitions.retry_by_hand(row.pk, "a", from_start=False),
}

#: How an operation that was just claimed comes into each state.
SITUATIONS: dict[str, Callable[[Operation], object]] = {
    "queued": lambda row: transitions.release(row, "deploy"),
    "running": lambda row: None,
    "retrying": lambda row: transitions.retry(row, LOST, timedelta(0)),
    "waiting": lambda row: (VERBS["spawn"](row), VERBS["wait"](row)),
    "pausing": lambda row: transitions.pause(row.pk, "a"),
    "paused": lambda row: (transitions.pause(row.pk, "a"), transitions.stop(row)),
    "cancelling": lambda row: transitions.cancel(row.pk, "a"),
    "failed": lambda row: transitions.fail(row, LOST),
    "cancelled": lambda row: (transitions.cancel(row.pk, "a"), transitions.stop(row)),
    "succeeded": lambda row: transitions.succeed(row, "done", []),
}


@pytest.fixture
def two() -> Iterator[ThreadPoolExecutor]:
    """Two threads, each with a connection of its own."""
    with ThreadPoolExecutor(2) as pool:
        yield pool
        barrier = threading.Barrier(2)
        list(pool.map(lambda _: (barrier.wait(), connection.close()), range(2)))


@pytest.mark.parametrize("situation", SITUATIONS)
def test_two_who_act_at_once_leave_a_legal_story(alice: Any, two: ThreadPoolExecutor, situation: str) -> None:
    pairs: dict[UUID, tuple[str, str]] = {}
    for pair in combinations_with_replacement(VERBS, 2):
        row = in_situation(alice, situation)
        pairs[row.pk] = pair
        barrier = threading.Barrier(2)
        list(two.map(lambda verb, row=row, barrier=barrier: act(verb, row, barrier), pair))
    assert Operation.objects.filter(parent=None).count() == len(pairs)
    try:
        assert_consistent()
    except AssertionError as error:
        raise AssertionError(f"{situation}: {guilty(pairs, str(error))}: {error}") from error


def guilty(pairs: dict[UUID, tuple[str, str]], violations: str) -> list[str]:
    """Who acted on the operations, or on the parents of those, that the violations name."""
    named = [row for row in Operation.objects.all() if str(row.pk) in violations]
    return sorted({" and ".join(pairs[row.parent_id or row.pk]) for row in named})


def in_situation(owner: Any, situation: str) -> Operation:
    made = submission.submit("probe.saves", {"to": 1}, owner).operation
    Operation.objects.filter(pk=made.pk).update(run_at=Now() - timedelta(seconds=1))
    row = transitions.claim(made.pk, "w")
    assert row is not None
    SITUATIONS[situation](row)
    now = Operation.objects.get(pk=made.pk)
    assert now.state == situation
    return row


def act(verb: str, row: Operation, barrier: threading.Barrier) -> None:
    mine = Operation.objects.get(pk=row.pk)
    mine.fence = row.fence
    barrier.wait()
    with contextlib.suppress(NotAllowedNow, LeaseLost):
        VERBS[verb](mine)
