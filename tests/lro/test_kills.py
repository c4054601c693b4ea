"""A kill at the border of every step of the core: the end is the same as where nothing was killed.

Each story is told by a process of its own, which is killed (SIGKILL, so that nothing tidies up) or loses its database
right before or right after a step; a second process then tells the story again, as a client that repeats its request
and workers that go on do.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from celery import current_app
from django.db import connection, connections
from django.db.models import F
from django.db.models.functions import Now

from lro.events import outbox
from lro.exceptions import NotAllowedNow
from lro.lifecycle import leases
from lro.models import Artifact, Operation, Resource
from lro.runtime import control, executor, pruner, reconciler, submission
from lro.runtime.reconciler import CHORES, DUTIES
from lro.states import State
from lro.testing import assert_consistent, cancel_after, cut, kill, steps, strike
from tests.probe.models import Mark

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql' and not IS_WHOLE", reason="takes long, and is the same"),
]

Story = Callable[["Teller"], object]
Border = Literal["before", "after"]
BORDERS: tuple[Border, ...] = ("before", "after")
#: What asks, decides or declares, and writes nothing; what only Celery calls; and what stands in a table of functions.
NO_STEPS = {
    "control.cancel",
    "control.pause",
    "control.resume",
    "control.retry",
    "queueing.due",
    "queueing.of",
    "queueing.length",
    "fan_out.gathered",
    "executor.work_off",
    "pruner.obstacle",
    "reconciler.chore",
    "reconciler.rescue_of",
    "reconciler.give_back",
    "resources.cleanup",
    "resources.temp_dir",
    "resources.path_of",
    "resources.given_up",
    "resources.take_up_again",
    "fan_out.roll_up",
}
#: What a heartbeat does where a child happens to live that long.
BY_CHANCE = {"fan_out.roll_up"}


class Teller:
    """Tells stories in this process: submits, acts, and is the worker and the reconciler too."""

    def __init__(self, owner: Any, diary: str, files: Path) -> None:
        self.owner, self.diary, self.files = owner, diary, files

    def submit(self, name: str, key: str = "once", **data: Any) -> Operation:
        return submission.submit(f"probe.{name}", data, self.owner, idempotency_key=key).operation

    def act(self, verb: str, operation: Operation) -> None:
        with suppress(NotAllowedNow):  # it was done before the kill
            control.act(verb, operation.pk, "alice")

    def work(self, until: Callable[[], bool] = lambda: False) -> None:
        """Until all is done, or this is so."""
        deadline = time.monotonic() + 60
        while not until():
            assert time.monotonic() < deadline, list(Operation.objects.values_list("name", "state", "error"))
            reconcile()
            Operation.objects.filter(state__in=[State.QUEUED, State.RETRYING]).update(run_at=Now())
            due = list(Operation.objects.filter(leases.claimable()).order_by("id").values_list("pk", flat=True))
            for pk in due:
                if until():
                    return
                executor.execute(pk)
            if not due and not Operation.objects.active().exists() and not Resource.objects.over().exists():
                return

    def await_state(self, operation: Operation, state: str) -> None:
        row = Operation.objects.filter(pk=operation.pk)
        self.work(until=lambda: row.filter(state__in=[state, "paused"]).exists() or not row.active().exists())


def reconcile() -> None:
    reconciler.reconcile([getattr(sys.modules[duty.__module__], duty.__name__) for duty in DUTIES + CHORES])


# The stories


def all_verbs(teller: Teller) -> None:
    teller.submit("whole", diary=teller.diary)
    teller.work()


def items(teller: Teller) -> None:
    teller.submit("marks-list", to=12)
    teller.work()


def a_queue_for_one_thing(teller: Teller) -> None:
    for key in ("first", "second"):
        teller.submit("queues-up", key, thing="chair")
    teller.work()


def a_family_that_is_cancelled(teller: Teller) -> None:
    parent = teller.submit("splits", child="probe.saves", inputs=[{"to": 1}] * 2)
    teller.await_state(parent, "waiting")
    teller.act("cancel", parent)
    teller.work()


def a_family_that_fails(teller: Teller) -> None:
    teller.submit("splits", child="probe.fails", inputs=[{}, {}])
    teller.work()


def a_family_that_rejects(teller: Teller) -> None:
    teller.submit("gleans", positions=[[1, 4], [0, 2]], limit=3)
    teller.work()


def a_family_that_is_paused_and_resumed(teller: Teller) -> None:
    parent = teller.submit("splits", child="probe.saves", inputs=[{"to": 1}] * 2)
    teller.await_state(parent, "waiting")
    teller.act("pause", parent)
    reconcile()
    teller.act("resume", parent)
    teller.work()


def a_family_that_is_retried(teller: Teller) -> None:
    parent = teller.submit("splits", child="probe.fails", inputs=[{}, {}])
    teller.work()
    if Operation.objects.filter(pk=parent.pk, attempt=1).exists():
        teller.act("retry", parent)
    teller.work()


def a_parent_that_nobody_woke(teller: Teller) -> None:
    parent = teller.submit("splits", child="probe.saves", inputs=[{"to": 1}])
    teller.await_state(parent, "waiting")
    Operation.objects.filter(pk=parent.pk, children_pending=1).update(children_pending=F("children_pending") + 1)
    teller.work()


def a_cancel_in_the_middle(teller: Teller) -> None:
    with cancel_after(checkpoints=1):
        teller.submit("saves", to=3)
        teller.work()


def a_retry_by_hand(teller: Teller) -> None:
    operation = teller.submit("fails")
    teller.work()
    if Operation.objects.filter(pk=operation.pk, attempt=1).exists():
        teller.act("retry", operation)
    teller.work()


def a_check_that_starts_nothing(teller: Teller) -> None:
    submission.check("probe.counts", {"to": 1}, teller.owner)


def a_cursor_that_is_found_while_it_is_saved(teller: Teller) -> None:
    teller.submit("feels-its-way", to=4)
    teller.work()


def a_snooze(teller: Teller) -> None:
    teller.submit("snoozes", wakes_at=2, after=0)
    teller.work()


def a_timeout_in_the_queue(teller: Teller) -> None:
    operation = teller.submit("hurried", seconds=0)
    Operation.objects.filter(pk=operation.pk).update(claim_by=Now() - timedelta(seconds=1))
    teller.work()


def a_stall(teller: Teller) -> None:
    """Its worker goes on for ever without a word of progress; another process times it out."""
    operation = teller.submit("stalls", seconds=0)
    held = executor.claim(operation.pk)
    if held is not None:
        Operation.objects.filter(pk=operation.pk).update(stalls_at=Now() - timedelta(seconds=1))
    teller.work()


def a_cancel_that_nobody_hears(teller: Teller) -> None:
    operation = teller.submit("saves", to=1)
    executor.claim(operation.pk)
    teller.act("cancel", operation)
    Operation.objects.filter(pk=operation.pk).update(stop_requested_at=Now() - timedelta(hours=1))
    teller.work()


def a_lease_that_runs_out(teller: Teller) -> None:
    operation = teller.submit("saves", to=1)
    if executor.claim(operation.pk) is not None:
        elsewhere = {"worker": "elsewhere.1/7/8", "lease_expires_at": Now() - timedelta(seconds=1)}
        Operation.objects.filter(pk=operation.pk).update(**elsewhere)
    teller.work()


def a_deletion(teller: Teller) -> None:
    operation = teller.submit("whole", diary=teller.diary)
    teller.work()
    operation.refresh_from_db()
    pruner.delete(operation)
    teller.work()


def the_end_of_the_retention(teller: Teller) -> None:
    teller.submit("whole", diary=teller.diary)
    teller.work()
    Operation.objects.update(expires_at=Now() - timedelta(seconds=1))
    reconcile()
    teller.work()


#: The shortest first: a step is hurt where it is taken first, and all that follows is told again each time.
STORIES: list[Story] = [
    a_check_that_starts_nothing,
    a_timeout_in_the_queue,
    a_snooze,
    a_lease_that_runs_out,
    a_cancel_that_nobody_hears,
    a_stall,
    a_cancel_in_the_middle,
    a_cursor_that_is_found_while_it_is_saved,
    a_retry_by_hand,
    a_queue_for_one_thing,
    items,
    a_family_that_is_cancelled,
    a_family_that_fails,
    a_family_that_rejects,
    a_family_that_is_paused_and_resumed,
    a_family_that_is_retried,
    a_parent_that_nobody_woke,
    all_verbs,
    a_deletion,
    the_end_of_the_retention,
]


# Their telling


@pytest.fixture
def teller(alice: Any, diary: Path, files: Path, settings: Any) -> Teller:
    settings.LRO = {"RETRY_BASE_SECONDS": 0.0, "MAX_CRASHES": 50, "MAX_ATTEMPTS": 50}
    return Teller(alice, str(diary), files)


def in_another_process(work: Callable[[], object], within: float = 180) -> int:
    """Run it in a fork that shares no connection with us; its exit status, negative where a signal ended it."""
    connections.close_all()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # there are threads, and they are idle
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            current_app._after_fork()  # type: ignore[attr-defined]
            signal.alarm(int(within))
            work()
            outbox._flush_all()  # as at any exit, so that a wake is sent before the process ends
            status = 0
        except BaseException:
            traceback.print_exc(limit=-6)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def passed_by(work: Callable[[], object], trace: Path) -> dict[tuple[str, Border], int]:
    """Which borders of steps are passed, and how often; a step that raises has no end."""

    def note(step: str, border: Border) -> None:
        with trace.open("a") as file:
            file.write(f"{step} {border}\n")

    def traced() -> None:
        with ExitStack() as stack:
            for step, border in itertools.product(steps().keys() - BY_CHANCE, BORDERS):
                blow = functools.partial(note, step, border)
                stack.enter_context(strike(step, blow, border=border, nth=None))
            work()

    trace.write_text("")
    assert in_another_process(traced) == 0
    return dict(Counter(cast("tuple[str, Border]", tuple(line.split())) for line in trace.read_text().splitlines()))


def picture(teller: Teller) -> dict[str, Any]:
    """What a story has come to; how often it was tried, and how far what was cancelled had come, is left out."""
    columns = ("name", "state", "result", "rejected")
    operations = []
    for row in Operation.objects.order_by("name", "id").values(*columns):
        ended = row["state"] == "succeeded"
        result = {key: value for key, value in (row["result"] or {}).items() if key != "attempt"}
        operations.append((row["name"], row["state"], result, row["rejected"] if ended else None))
    files = [path for path in teller.files.rglob("*") if path.is_file()]
    diary = Path(teller.diary)
    return {
        "operations": sorted(operations, key=str),
        "marks": sorted(Mark.objects.values_list("item", flat=True)),
        "artifacts": [Path(artifact.file.path).read_text() for artifact in Artifact.objects.all()],
        "files": len(files),
        "resources": Resource.objects.count(),
        "diary": sorted(set(diary.read_text().split("\n"))) if diary.exists() else [],
    }


def forget_everything(teller: Teller) -> None:
    Operation.objects.filter(parent__isnull=False).delete()
    for model in (Operation, Resource, Mark):
        model.objects.all().delete()
    Path(teller.diary).unlink(missing_ok=True)
    shutil.rmtree(teller.files, ignore_errors=True)


BLOWS: dict[str, Callable[[], None]] = {"killed": kill, "cut off": cut}
#: With `LRO_TEST_EVERY_KILL=1` every story is hurt at each of its steps; else a border is where it is passed first.
IS_WHOLE = bool(os.environ.get("LRO_TEST_EVERY_KILL"))
HURT: set[tuple[str, Border]] = set()


def hurts(passed: dict[tuple[str, Border], int]) -> Iterator[tuple[str, str, Border, int]]:
    for (step, border), count in passed.items():
        for nth in sorted({1, count}) if IS_WHOLE else [1]:
            yield step, "killed", border, nth
        if IS_WHOLE and connection.vendor == "postgresql":
            yield step, "cut off", border, 1


def test_each_step_of_the_core_is_taken_by_a_story(teller: Teller, tmp_path: Path) -> None:
    taken: set[str] = set()
    for story in STORIES:
        forget_everything(teller)
        taken |= {step for step, _ in passed_by(lambda story=story: story(teller), tmp_path / "trace")}
    assert steps().keys() - taken - NO_STEPS == set()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_it_ends_as_if_nothing_had_been(teller: Teller, story: Story, tmp_path: Path) -> None:
    passed = passed_by(lambda: story(teller), tmp_path / "trace")
    expected = picture(teller)
    assert_consistent(is_drained=True)
    new = {border: count for border, count in passed.items() if border not in HURT}
    HURT.update(() if IS_WHOLE else new)
    for step, blow, border, nth in hurts(new):
        forget_everything(teller)
        where = f"{blow} {border} {step}, time {nth}"

        def hurt(step: str = step, blow: str = blow, border: Border = border, nth: int = nth) -> None:
            with strike(step, BLOWS[blow], border=border, nth=nth):
                story(teller)

        status = in_another_process(hurt)
        assert blow != "killed" or status == -signal.SIGKILL, f"{where}: it was not reached ({status})"
        assert in_another_process(lambda: story(teller)) == 0, f"{where}: what came after failed"
        assert_consistent(is_drained=True)
        assert picture(teller) == expected, where
