"""What is past its retention goes with all that belongs to it, and nothing else does."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro.exceptions import NotAllowedNow
from lro.lifecycle import removal, transitions
from lro.models import Artifact, Event, Operation, Resource
from lro.runtime import control, executor, pruner, reconciler, resources, submission
from lro.testing import run_attempt
from lro.transports import access, payloads
from tests.lro.test_children import work_off
from tests.lro.test_resources import stored, words

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]


def litter(owner: Any, diary: Path, **data: Any) -> Operation:
    return run_attempt("probe.litters", {"diary": str(diary), **data}, owner)


def family(owner: Any, diary: Path, count: int = 2) -> Operation:
    """A parent whose children each keep an artifact."""
    inputs = [{"diary": str(diary)}] * count
    parent = submission.submit("probe.splits", {"child": "probe.litters", "inputs": inputs}, owner).operation
    work_off()
    return Operation.objects.get(pk=parent.pk)


def age(*operations: Operation, days: int = 40) -> None:
    then = Now() - timedelta(days=days)
    rows = Operation.objects.filter(pk__in=[row.pk for row in operations])
    rows.update(finished_at=then, expires_at=then + timedelta(days=30))


def farewells(diary: Path) -> list[str]:
    return [word for word in words(diary) if word.startswith("forget")]


def test_what_is_past_its_retention_is_deleted_with_its_file_and_its_class_is_told_once(
    alice: Any, diary: Path, files: Path
) -> None:
    old, young = litter(alice, diary), litter(alice, diary, ends="badly")
    age(old)
    assert reconciler.reconcile()["prune_expired"] == 1
    assert list(Operation.objects.all()) == [young]
    assert (stored(files), farewells(diary)) == (["final"], ["forget succeeded"])
    assert not Event.objects.filter(operation_id=old.pk).exists()
    assert not Resource.objects.exists()
    assert reconciler.reconcile()["prune_expired"] == 0


def test_a_round_deletes_at_most_a_batch(alice: Any, settings: Any) -> None:
    settings.LRO = {"BATCH_SIZE": 2}
    age(*(run_attempt("probe.counts", {"to": 1}, alice) for _ in range(3)))
    assert [pruner.prune_expired() for _ in range(3)] == [2, 1, 0]


def test_a_family_goes_as_one_and_only_when_all_of_it_has_ended(alice: Any, diary: Path, files: Path) -> None:
    parent = family(alice, diary)
    child = parent.children.first()
    age(*parent.children.all())
    assert pruner.prune_expired() == 0, "children are kept as long as their parent"
    age(parent)
    Operation.objects.filter(pk=child.pk).update(state="queued")
    assert pruner.prune_expired() == 0
    assert removal.remove([parent.pk]) is None
    Operation.objects.filter(pk=child.pk).update(state="succeeded")
    assert pruner.prune_expired() == 1
    assert not Operation.objects.exists()
    assert (stored(files), len(farewells(diary))) == ([], 2)


def test_a_kill_after_the_rows_are_gone_loses_neither_file_nor_farewell(
    alice: Any, diary: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(litter(alice, diary))
    with monkeypatch.context() as patch:
        patch.setattr(resources, "release_quietly", lambda left: None)
        assert pruner.prune_expired() == 1
    assert (Operation.objects.count(), stored(files), farewells(diary)) == (0, ["final"], [])
    assert reconciler.reconcile()["release_left"] == 2
    assert (stored(files), farewells(diary)) == ([], ["forget succeeded"])


def test_a_kill_before_the_commit_deletes_nothing(
    alice: Any, diary: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(litter(alice, diary))

    def die(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(QuerySet, "delete", die)
    with pytest.raises(KeyboardInterrupt):
        pruner.prune_expired()
    monkeypatch.undo()
    assert (Operation.objects.count(), Resource.objects.count()) == (1, 0)
    assert resources.release_left() == 0
    assert stored(files) == ["final"]


def test_a_farewell_that_fails_is_said_again_and_does_not_bring_the_operation_back(
    alice: Any, diary: Path, tmp_path: Path
) -> None:
    operation = litter(alice, diary)
    Operation.objects.filter(pk=operation.pk).update(input={"diary": str(tmp_path / "missing" / "diary")})
    pruner.delete(Operation.objects.get())
    assert not Operation.objects.exists()
    left = Resource.objects.get()
    assert (left.kind, left.tries) == ("forget", 1)
    (tmp_path / "missing").mkdir()
    Resource.objects.update(next_try_at=None)
    assert resources.release_left() == 1
    assert farewells(tmp_path / "missing" / "diary") == ["forget succeeded"]


def test_an_operation_whose_class_is_gone_can_still_be_deleted(alice: Any) -> None:
    operation = run_attempt("probe.counts", {"to": 1}, alice)
    Operation.objects.filter(pk=operation.pk).update(name="gone.away")
    pruner.delete(Operation.objects.get())
    assert not Resource.objects.exists()


def test_what_an_attempt_left_of_a_deleted_operation_is_still_released(alice: Any, files: Path) -> None:
    held = transitions.claim(submission.submit("probe.counts", {"to": 1}, alice).operation.pk, "elsewhere.1/1/1")
    assert held is not None
    executor.Execution(held).context.tempfile().write_text("left")
    transitions.succeed(held, None, [])
    pruner.delete(Operation.objects.get())
    assert resources.release_left() == 1
    assert stored(files) == []


def test_what_is_at_work_or_a_part_of_another_is_not_deleted(alice: Any, diary: Path) -> None:
    parent = family(alice, diary)
    child = parent.children.first()
    assert "delete" in payloads.operation(parent, alice)["links"]
    assert "delete" not in payloads.operation(child, alice)["links"]
    with pytest.raises(NotAllowedNow, match="part of another"):
        access.delete(alice, child.pk)
    queued = submission.submit("probe.counts", {"to": 1}, alice).operation
    with pytest.raises(NotAllowedNow, match="queued"):
        access.delete(alice, queued.pk)


def test_delete_over_rest_leaves_nothing(alice: Any, diary: Path, files: Path) -> None:
    operation = litter(alice, diary)
    client = Client(headers={"Authorization": f"Bearer {AccessToken.for_user(alice)}"})
    assert client.delete(f"/operations/{operation.pk}").status_code == 204
    assert (stored(files), farewells(diary)) == ([], ["forget succeeded"])


def test_a_retry_from_the_start_takes_the_children_and_their_files_away(alice: Any, diary: Path, files: Path) -> None:
    inputs = [{"diary": str(diary)}, {"diary": str(diary), "ends": "badly"}]
    data = {"child": "probe.litters", "inputs": inputs}
    parent = submission.submit("probe.splits", data, alice).operation
    work_off()
    assert Operation.objects.get(pk=parent.pk).state == "failed"
    count = len(stored(files))  # a failure may come before the other one begins
    control.retry(parent.pk, "alice", source="start")
    assert not parent.children.exists()
    assert reconciler.reconcile()["release_left"] == count + 2
    assert (stored(files), Artifact.objects.count(), len(farewells(diary))) == ([], 0, 2)
    transitions.cancel(parent.pk, "alice")


class TestTheCommand:
    def lro(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("lro", "prune", *arguments, stdout=out)
        return out.getvalue()

    def test_deletes_what_ended_so_long_ago(self, alice: Any) -> None:
        rows = [run_attempt("probe.counts", {"to": 1}, alice) for _ in range(3)]
        age(rows[0], days=3)
        age(rows[1], days=10)
        assert self.lro("--older-than", "2d", "--dry-run") == "2 operations would be deleted.\n"
        assert [
            json.loads(line)["id"] for line in self.lro("--older-than", "9d", "--dry-run", "--json").splitlines()
        ] == [str(rows[1].pk)]
        assert Operation.objects.count() == 3
        assert self.lro("--older-than", "2d") == "2 operations deleted.\n"
        assert list(Operation.objects.all()) == [rows[2]]

    def test_without_a_time_deletes_what_is_past_its_retention(self, alice: Any) -> None:
        age(run_attempt("probe.counts", {"to": 1}, alice), days=31)
        run_attempt("probe.counts", {"to": 1}, alice)
        assert json.loads(self.lro("--json")) == {"deleted": 1}

    def test_on_behalf_of_a_user_deletes_only_theirs(self, alice: Any, bob: Any) -> None:
        age(run_attempt("probe.counts", {"to": 1}, alice), theirs := run_attempt("probe.counts", {"to": 1}, bob))
        assert self.lro("--as", "alice") == "1 operations deleted.\n"
        assert list(Operation.objects.all()) == [theirs]

    @pytest.mark.parametrize("text", ["30", "d", "-1d", "3w", "1.5h"])
    def test_refuses_what_is_no_time(self, db: None, text: str) -> None:
        with pytest.raises(CommandError, match="no time"):
            self.lro(f"--older-than={text}")
