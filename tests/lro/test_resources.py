"""Nothing is left behind, however an attempt ends, and nothing is released twice."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import default_storage
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from lro import cleanup
from lro.exceptions import LeaseLost, UnknownCleanup
from lro.lifecycle import leases, retries, transitions
from lro.models import Artifact, Attempt, Operation, Resource
from lro.models.resource import Kind
from lro.runtime import diagnosis, executor, reconciler, resources, submission
from lro.testing import run_attempt, violations_of
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

DEAD = leases.worker_name(2**22 + 1, 2**22 + 2)
LOST = retries.lost("gone")


def words(diary: Path) -> list[str]:
    return diary.read_text().split("\n")[:-1] if diary.exists() else []


def stored(files: Path) -> list[str]:
    """The contents of all files that there are."""
    return [path.read_text() for path in files.rglob("*") if path.is_file()]


def content() -> bytes:
    return Path(Artifact.objects.get().file.path).read_bytes()


def held_by(worker: str, owner: Any, name: str = "probe.counts", **data: Any) -> Operation:
    held = transitions.claim(submission.submit(name, data or {"to": 1}, owner).operation.pk, worker)
    assert held is not None
    return held


def context(held: Operation) -> Any:
    return executor.Execution(held).context


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def later(seconds: float = 3600) -> None:
    """As if that time had passed since every attempt ended and every release failed."""
    Attempt.objects.exclude(finished_at=None).update(finished_at=Now() - timedelta(seconds=seconds))
    Resource.objects.exclude(next_try_at=None).update(next_try_at=Now() - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("ends", "state"), [("well", "succeeded"), ("badly", "failed"), ("retry", "retrying"), ("snooze", "queued")]
)
def test_however_an_attempt_ends_its_cleanups_ran_once_and_its_files_are_gone(
    alice: Any, diary: Path, files: Path, ends: str, state: str
) -> None:
    operation = run_attempt("probe.litters", {"diary": str(diary), "ends": ends}, alice)
    assert operation.state == state, operation.error
    assert words(diary) == ["last", "first"], "the last one first, each once"
    assert stored(files) == ["final"], "the artifact alone"
    assert not Resource.objects.exists()
    if not operation.is_terminal:
        transitions.cancel(operation.pk, "alice")


@pytest.mark.parametrize(("verb", "state"), [(transitions.cancel, "cancelled"), (transitions.pause, "paused")])
def test_what_is_stopped_leaves_nothing(alice: Any, diary: Path, files: Path, verb: Any, state: str) -> None:
    operation = submission.submit("probe.litters", {"diary": str(diary), "ends": "listen"}, alice).operation

    def work() -> None:
        executor.execute(operation.pk)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    until(lambda: operation.events.filter(kind="log").exists(), what="it listens")
    verb(operation.pk, "alice")
    worker.join()
    assert (fresh(operation).state, words(diary), stored(files)) == (state, ["last", "first"], ["final"])


def test_everything_is_released_before_anybody_is_told_of_the_end(
    alice: Any, diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    succeed = transitions.succeed

    def settle(*args: Any, **changes: Any) -> Any:
        seen.append((words(diary), Resource.objects.count()))
        return succeed(*args, **changes)

    monkeypatch.setattr(transitions, "succeed", settle)
    run_attempt("probe.litters", {"diary": str(diary)}, alice)
    assert seen == [(["last", "first"], 0)]


def test_a_temporary_file_is_registered_before_it_is_there(alice: Any) -> None:
    held = held_by("w", alice)
    path = context(held).tempfile(".csv")
    assert (path.suffix, path.exists(), path.parent.is_dir()) == (".csv", False, True)
    assert Resource.objects.get().data == {"name": path.name}
    transitions.succeed(held, None, [])
    later()
    assert reconciler.reconcile()["release_left"] == 1, "also where it was never made"


def test_a_transaction_that_may_be_rolled_back_is_no_place_to_register(alice: Any) -> None:
    held = held_by("w", alice)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        context(held).tempfile()
    transitions.succeed(held, None, [])


def test_a_registration_whose_commit_went_through_unseen_is_not_made_twice(
    alice: Any, diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = executor.Execution(held_by("w", alice))
    register, tries = attempt.holdings.register, []

    def break_once(resource: Resource) -> None:
        register(resource)
        tries.append(resource)
        if len(tries) == 1:
            raise OperationalError("the connection broke in COMMIT")

    monkeypatch.setattr(attempt.holdings, "register", break_once)
    attempt.context.defer("probe.unlock", diary=str(diary), word="once")
    assert (len(tries), Resource.objects.count()) == (2, 1)
    attempt.release()
    assert words(diary) == ["once"]
    transitions.succeed(attempt.held, None, [])


def test_a_suffix_cannot_lead_out_of_the_folder(alice: Any) -> None:
    held = held_by("w", alice)
    for suffix in ("/../x", "a b", "x" * 51):
        with pytest.raises(ValueError, match="suffix"):
            context(held).tempfile(suffix)
    transitions.succeed(held, None, [])


class TestACrash:
    def test_of_a_process_of_this_machine_leaves_nothing_as_soon_as_it_is_seen(
        self, alice: Any, diary: Path, files: Path
    ) -> None:
        op = context(held := held_by(DEAD, alice))
        op.tempfile().write_text("half")
        op.defer("probe.unlock", diary=str(diary), word="unlocked")
        assert reconciler.reconcile()["release_left"] == 2, "in the very round that finds it dead"
        assert (words(diary), stored(files)) == (["unlocked"], [])
        transitions.cancel(held.pk, "alice")

    def test_elsewhere_is_waited_for_as_its_process_may_still_make_the_file(self, alice: Any, files: Path) -> None:
        op = context(held := held_by("elsewhere.1/1/1", alice))
        path = op.tempfile()
        transitions.rescue(held, LOST)
        assert resources.release_left() == 0
        path.write_text("made by one who does not know yet")
        later()
        assert resources.release_left() == 1
        assert stored(files) == []
        transitions.cancel(held.pk, "alice")

    def test_between_the_file_of_an_artifact_and_its_row_leaves_no_file(
        self, alice: Any, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        op = context(held := held_by(DEAD, alice))
        monkeypatch.setattr(op, "_keep", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        (tmp_path / "report").write_text("whole")
        with pytest.raises(KeyboardInterrupt):
            op.artifact(tmp_path / "report", "report.txt")
        assert stored(files) == ["whole"]
        reconciler.reconcile()
        assert stored(files) == []
        transitions.cancel(held.pk, "alice")

    def test_in_the_middle_of_a_release_elsewhere_is_followed_by_another_one(self, alice: Any, diary: Path) -> None:
        held = held_by("elsewhere.1/1/1", alice)
        context(held).defer("probe.unlock", diary=str(diary), word="again")
        transitions.rescue(held, LOST)
        Resource.objects.update(tries=1, next_try_at=Now() + timedelta(seconds=60))  # claimed, and then no word
        assert resources.release_left() == 0
        later()
        assert resources.release_left() == 1
        assert words(diary) == ["again"]
        transitions.cancel(held.pk, "alice")

    def test_of_the_process_that_releases_is_not_waited_for_where_it_is_seen(self, alice: Any, diary: Path) -> None:
        held = held_by("elsewhere.1/1/1", alice)
        context(held).defer("probe.unlock", diary=str(diary), word="again")
        transitions.rescue(held, LOST)
        Resource.objects.update(tries=1, next_try_at=Now() + timedelta(seconds=60), worker=DEAD)
        assert resources.release_left() == 1
        assert words(diary) == ["again"]
        transitions.cancel(held.pk, "alice")

    def test_by_sigkill_of_a_real_process_leaves_nothing(self, alice: Any, diary: Path, files: Path) -> None:
        operation = submission.submit("probe.litters", {"diary": str(diary), "ends": "sleep"}, alice).operation
        connection.close()
        child = os.fork()
        if not child:
            try:
                executor.execute(operation.pk)
            finally:
                os._exit(1)
        until(lambda: operation.events.filter(kind="log").exists(), what="it sleeps")
        assert sorted(stored(files)) == ["final", "final"], "the artifact and the temporary file"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        done = reconciler.reconcile()
        assert (done["rescue_dead"], done["release_left"]) == (1, 4)
        assert (words(diary), stored(files)) == (["first", "last"], ["final"])
        assert not any(path.is_dir() for path in resources.temp_dir().iterdir())
        transitions.cancel(operation.pk, "alice")


def test_who_lost_its_lease_registers_nothing_and_still_takes_away_what_it_made(alice: Any, files: Path) -> None:
    attempt = executor.Execution(held := held_by("elsewhere.1/1/1", alice))
    path = attempt.context.tempfile()
    transitions.rescue(held, LOST)
    later()
    assert resources.release_left() == 1
    path.write_text("made after the reconciler had been there")
    with pytest.raises(LeaseLost):
        attempt.context.tempfile()
    with pytest.raises(LeaseLost):
        attempt.context.defer("probe.unlock", diary="", word="")
    attempt.release()
    assert stored(files) == []
    transitions.cancel(held.pk, "alice")


def test_what_its_attempt_still_needs_is_released_by_nobody(alice: Any, files: Path) -> None:
    held = held_by("elsewhere.1/1/1", alice)
    context(held).tempfile().write_text("at work")
    transitions.cancel(held.pk, "alice")
    assert reconciler.reconcile()["release_left"] == 0, "it is cancelling, and may take its time"
    assert stored(files) == ["at work"]
    transitions.stop(held)
    later()
    assert resources.release_left() == 1


def test_the_attempts_of_an_operation_release_each_its_own(alice: Any, files: Path) -> None:
    first = held_by("elsewhere.1/1/1", alice)
    context(first).tempfile().write_text("first")
    transitions.release(first, "deploy")
    second = transitions.claim(first.pk, "elsewhere.1/1/2")
    assert second is not None
    context(second).tempfile().write_text("second")
    later()
    assert resources.release_left() == 1
    assert stored(files) == ["second"]
    transitions.succeed(second, None, [])
    later()
    resources.release_left()


def test_of_many_who_would_release_the_same_one_does(alice: Any, diary: Path) -> None:
    held = held_by(DEAD, alice)
    for number in range(5):
        context(held).defer("probe.unlock", diary=str(diary), word=str(number))
    transitions.rescue(held, LOST)
    start = threading.Barrier(4)

    def run() -> None:
        rows = list(Resource.objects.all())
        start.wait()
        resources.release_all(rows)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(words(diary)) == ["0", "1", "2", "3", "4"]
    assert not Resource.objects.exists()
    transitions.cancel(held.pk, "alice")


class TestACleanup:
    def test_that_raises_is_tried_again_a_few_times_and_then_kept_for_the_doctor(
        self, alice: Any, tmp_path: Path, settings: Any
    ) -> None:
        settings.LRO = {"RELEASE_TRIES": 3}
        attempt = executor.Execution(held_by("w", alice))
        attempt.context.defer("probe.stuck", once=str(tmp_path / "key"))
        attempt.release()
        transitions.succeed(attempt.held, None, [])
        later()
        for tries in (2, 3, 3):
            assert resources.release_left() == 0
            assert Resource.objects.get().tries == tries
            assert diagnosis.releases().is_good == (tries < 3)
            later()
        finding = diagnosis.releases()
        assert "cleanup probe.stuck: RuntimeError: it is stuck" in finding.problem
        (tmp_path / "key").touch()
        assert resources.take_up_again() == 1
        assert resources.release_left() == 1
        assert diagnosis.releases().is_good

    def test_that_raises_does_not_keep_the_others_from_theirs_nor_the_operation_from_its_end(
        self, alice: Any, tmp_path: Path, diary: Path
    ) -> None:
        attempt = executor.Execution(held_by("w", alice))
        attempt.context.defer("probe.unlock", diary=str(diary), word="done")
        attempt.context.defer("probe.stuck", once=str(tmp_path / "key"))
        attempt.release()
        assert words(diary) == ["done"]
        transitions.succeed(attempt.held, None, [])
        (tmp_path / "key").touch()
        later()
        assert resources.release_left() == 1

    def test_must_be_declared_before_it_is_deferred(self, alice: Any) -> None:
        held = held_by("w", alice)
        with pytest.raises(UnknownCleanup, match=r"probe\.nothing"):
            context(held).defer("probe.nothing")
        transitions.succeed(held, None, [])

    def test_that_no_code_declares_any_more_is_kept_with_its_name(self, alice: Any) -> None:
        resource = Resource.objects.create(kind=Kind.CLEANUP, data={"name": "gone.away", "data": {}})
        assert resources.release_left() == 0
        assert "gone.away" in Resource.objects.get().error
        resource.delete()

    def test_has_a_name_of_its_own(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="twice"):
            cleanup("probe.unlock")(lambda: None)
        with pytest.raises(ImproperlyConfigured, match="module"):
            cleanup("unlock")


class TestAnArtifact:
    def test_that_replaces_another_takes_its_file_away_after_the_commit(
        self, alice: Any, files: Path, tmp_path: Path
    ) -> None:
        op = context(held := held_by("w", alice))
        for text in ("old", "new"):
            (tmp_path / "source").write_text(text)
            op.artifact(tmp_path / "source", "report.txt")
        assert stored(files) == ["new"]
        assert content() == b"new"
        assert not Resource.objects.exists()
        transitions.succeed(held, None, [])

    def test_that_could_not_replace_another_leaves_it_as_it_was(
        self, alice: Any, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempt = executor.Execution(held := held_by("w", alice))
        (tmp_path / "source").write_text("old")
        attempt.context.artifact(tmp_path / "source", "report.txt")
        save = default_storage.save

        def lose_the_lease(*args: Any) -> str:
            transitions.rescue(held, LOST)
            return save(*args)

        (tmp_path / "source").write_text("new")
        monkeypatch.setattr(default_storage, "save", lose_the_lease)
        with pytest.raises(LeaseLost):
            attempt.context.artifact(tmp_path / "source", "report.txt")
        attempt.release()
        assert (stored(files), content()) == (["old"], b"old")
        transitions.cancel(held.pk, "alice")

    def test_whose_commit_went_through_unseen_is_kept_and_told_of_once(
        self, alice: Any, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        op = context(held := held_by("w", alice))
        keep, tries = op._keep, []

        def break_once(*args: Any) -> Any:
            kept = keep(*args)
            tries.append(kept)
            if len(tries) == 1:
                raise OperationalError("the connection broke in COMMIT")
            return kept

        monkeypatch.setattr(op, "_keep", break_once)
        (tmp_path / "source").write_text("whole")
        op.artifact(tmp_path / "source", "report.txt")
        assert (content(), stored(files), len(tries)) == (b"whole", ["whole"], 2)
        assert held.events.filter(kind="artifact").count() == 1
        transitions.succeed(held, None, [])


def test_the_checker_finds_what_is_left_and_what_is_not_what_it_was(alice: Any, files: Path, tmp_path: Path) -> None:
    op = context(held := held_by("elsewhere.1/1/1", alice))
    (tmp_path / "source").write_text("whole")
    path = Path(op.artifact(tmp_path / "source", "report.txt").file.path)
    op.tempfile()
    assert list(violations_of()) == []
    transitions.succeed(held, None, [])
    assert [v for v in violations_of() if "left behind" in v]
    later()
    resources.release_left()
    path.write_text("other")
    assert [v for v in violations_of() if "not the one that was stored" in v]
    path.unlink()
    assert [v for v in violations_of() if "has no file" in v]
    held.artifacts.all().delete()
