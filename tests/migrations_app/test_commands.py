"""`manage.py run_migration` and `list_migrations`: the same runs, from a shell."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from lro.models import Operation
from lro.runtime import control, queueing
from lro.testing import pause_after, run_due
from tests.migrations_app.runs import run
from tests.probe.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


@pytest.fixture(autouse=True)
def _a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is woken works here and now."""
    monkeypatch.setattr(queueing, "wake", lambda operation: run_due())


def command(*arguments: str) -> tuple[str, str]:
    out, notes = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=notes)
    return out.getvalue(), notes.getvalue()


def test_a_migration_is_started_and_watched(clerk: Any, things: Any) -> None:
    things(3)
    out, _ = command("run_migration", "probe.count", "--as", "alice")
    assert json.loads(out)["changed"] == 3
    assert set(Thing.objects.values_list("touched", flat=True)) == {1}


def test_its_options_are_those_of_the_request(clerk: Any, things: Any) -> None:
    things(12)
    run(clerk, "probe.count")
    arguments = ["--dry-run", "--param", "text=ab", "--param", "times=2", "--max-errors", "3", "--pause", "0.01"]
    out, _ = command("run_migration", "probe.write", *arguments, "--as", "alice")
    assert json.loads(out)["sample"][0]["after"] == {"text": "abab"}
    operation = Operation.objects.first()
    assert (operation.input["max_errors"], operation.input["pause"]) == (3, 0.01)
    out, _ = command("run_migration", "probe.name-and-count", "--step", "name", "--shards", "2", "--as", "alice")
    assert [step["step"] for step in json.loads(out)["steps"]] == ["name"]
    assert Operation.objects.filter(name="migrations.shard").count() == 2


def test_a_run_is_reversed_and_what_it_rejected_retried(clerk: Any, things: Any, hurting: Any) -> None:
    keys = things(3)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk == keys[0]:
            raise ValueError("bad")

    hurting(hurt)
    first = run(clerk, "probe.count")
    hurting(lambda step, thing: None)
    out, _ = command("run_migration", "probe.count", "--retry-rejects", str(first.pk), "--as", "alice")
    assert json.loads(out)["changed"] == 1
    out, _ = command("run_migration", "probe.count", "--reverse", str(first.pk), "--as", "alice")
    assert json.loads(out)["kind"] == "reverse"
    assert set(Thing.objects.values_list("touched", flat=True)) == {0}


def test_a_run_that_was_paused_or_cancelled_is_taken_up_again(clerk: Any, things: Any, small_batches: None) -> None:
    things(12)
    with pause_after(checkpoints=2):
        operation = run(clerk, "probe.count")
    out, _ = command("run_migration", "--resume", str(operation.pk)[-8:])
    assert json.loads(out)["changed"] == 12
    with pause_after(checkpoints=2):
        operation = run(clerk, "probe.count")
    control.act("cancel", operation.pk, "alice")
    command("run_migration", "probe.count", "--resume", str(operation.pk), "--as", "alice")
    assert set(Thing.objects.values_list("touched", flat=True)) == {2}


def test_it_may_be_left_to_itself(clerk: Any, things: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "wake", lambda operation: None)
    out, _ = command("run_migration", "probe.count", "--detach", "--as", "alice")
    operation = Operation.objects.get(pk=out.strip())
    assert operation.state == "queued"
    run_due()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["probe.cuont", "--as", "alice"], 2, "Did you mean probe.count?"),
        (["probe.write", "--param", "text=a", "--as", "alice"], 2, "Run the data migration probe.count first"),
        (["probe.count", "--param", "x", "--as", "alice"], 2, "--param takes name=value"),
        (["probe.count", "--step", "no", "--as", "alice"], 2, "has no step 'no'"),
        (["probe.count", "--as", "bob"], 4, "needs the permission"),
        (["--resume", "00000000", "--as", "alice"], 4, "There is no operation"),
        ([], 2, "Say which data migration"),
    ],
)
def test_each_mistake_has_its_exit_code(clerk: Any, bob: Any, arguments: list[str], code: int, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence.replace("?", r"\?")) as ending:
        command("run_migration", *arguments)
    assert ending.value.returncode == code


def test_another_operation_is_not_resumed_as_a_run(clerk: Any, things: Any) -> None:
    from lro.testing import run_operation

    other, own = run_operation("probe.counts", {"to": 1}, clerk), run(clerk, "probe.count")
    with pytest.raises(CommandError, match="is no run of a data migration"):
        command("run_migration", "--resume", str(other.pk))
    with pytest.raises(CommandError, match=r"is a run of probe\.count"):
        command("run_migration", "probe.mark", "--resume", str(own.pk))


def test_a_run_that_fails_ends_the_command_so(clerk: Any, things: Any, hurting: Any) -> None:
    things(3)

    def hurt(step: Any, thing: Thing) -> None:
        raise ValueError("bad")

    hurting(hurt)
    with pytest.raises(CommandError, match="too_many_errors") as ending:
        command("run_migration", "probe.count", "--max-errors", "0", "--as", "alice")
    assert ending.value.returncode == 1


def test_the_list_names_each_with_its_state(clerk: Any, things: Any) -> None:
    run(clerk, "probe.count")
    lines = command("list_migrations")[0].splitlines()
    assert lines[0].split()[:2] == ["NAME", "STATE"]
    assert any(line.startswith("probe.count ") and " completed " in line for line in lines)
    rows = [json.loads(line) for line in command("list_migrations", "--json")[0].splitlines()]
    assert {"contacts.split", "probe.mark"} <= {row["name"] for row in rows}


def test_the_plan_of_one_is_shown(db: None) -> None:
    out = command("list_migrations", "probe.write")[0]
    assert "1. write  unknown records, not reversible" in out
    assert "--param text=…  required" in out
    assert "pending: Run the data migration probe.count first." in out
    with pytest.raises(CommandError, match="There is no data migration") as ending:
        command("list_migrations", "no.such")
    assert ending.value.returncode == 4
