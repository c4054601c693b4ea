"""`manage.py lro`: what it prints, what it leaves in the database, and the code it ends with."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from lro.management.cli import watching
from lro.models import Operation
from lro.runtime import control, executor, submission
from lro.testing import run_attempt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


@pytest.fixture
def admin(django_user_model: Any) -> Any:
    return django_user_model.objects.create_superuser("admin", password="admin-password")


def lro(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error with the message of the end."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("lro", *arguments, stdout=out, stderr=err)
        return 0, out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue() + str(error)


@contextmanager
def worker() -> Iterator[None]:
    """Executes whatever is queued, as a worker does, until the block ends."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            for pk in Operation.objects.filter(state="queued").values_list("pk", flat=True):
                executor.execute(pk)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def queued(owner: Any, name: str = "probe.counts", **data: Any) -> Operation:
    return submission.submit(name, data or {"to": 3}, owner).operation


def test_start_watches_to_the_end_and_prints_the_result(admin: Any) -> None:
    with worker():
        code, out, err = lro("start", "probe.counts", "--param", "to=5")
    assert code == 0
    assert json.loads(out) == {"counted": 5}
    assert "succeeded  100 %  5 numbers" in err
    operation = Operation.objects.get()
    assert (operation.owner, operation.input["to"]) == (admin, 5)


def test_a_failure_is_exit_code_1_with_its_message(admin: Any) -> None:
    with worker():
        code, _, err = lro("start", "probe.fails")
    assert code == 1
    assert "It was never going to work. (no_luck)" in err


def test_json_writes_every_event_once_and_in_order(admin: Any) -> None:
    with worker():
        code, out, _ = lro("start", "probe.counts", "--param", "to=5", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [events[0]["kind"], events[-1]["kind"]] == ["created", "succeeded"]


def test_detach_prints_only_the_id(alice: Any) -> None:
    code, out, err = lro("start", "probe.counts", "--param", "to=5", "--as", "alice", "--detach")
    operation = Operation.objects.get()
    assert (code, out.strip(), err) == (0, str(operation.pk), "")
    assert (operation.owner, operation.state) == (alice, "queued")


def test_input_is_read_from_a_file_and_parameters_go_over_it(alice: Any, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"to": 5, "seconds_each": 1.5}')
    code, *_ = lro("start", "probe.counts", "--input", str(file), "--param", "to=7", "--as", "alice", "--detach")
    assert code == 0
    assert Operation.objects.get().input == {"to": 7, "seconds_each": 1.5}


def test_a_parameter_of_an_operation_without_a_schema_is_json_where_it_can_be(alice: Any) -> None:
    lro("start", "probe.fails", "--param", "a=[1]", "--param", "b=text", "--as", "alice", "--detach")
    assert Operation.objects.get().input == {"a": [1], "b": "text"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["start", "probe.counts"], 2, "to: This field is required."),
        (["start", "probe.counts", "--param", "to=many"], 2, "to: A valid integer is required."),
        (["start", "probe.counts", "--param", "to"], 2, "name=value"),
        (["start", "probe.counts", "--file", "x.csv"], 2, "takes no file"),
        (["start", "probe.count"], 4, "Did you mean probe.counts"),
        (["start", "uploads.import", "--file", "/nowhere.csv"], 2, "No such file"),
        (["start", "probe.counts", "--as", "nobody"], 4, "no active user 'nobody'"),
        (["watch", "01234567-0000-7000-8000-000000000000"], 4, "There is no operation"),
        (["show", "%"], 4, "There is no operation"),
    ],
)
def test_what_cannot_be_done_has_a_code_and_a_sentence(admin: Any, arguments: list[str], code: int, said: str) -> None:
    ended, out, err = lro(*arguments)
    assert (ended, out) == (code, "")
    assert said in err
    assert not Operation.objects.exists()


def test_nobody_to_own_it_is_a_usage_error(alice: Any) -> None:
    code, _, err = lro("start", "probe.counts", "--param", "to=1")
    assert (code, "--as USER" in err) == (2, True)


def test_a_file_goes_through_the_upload_handlers_and_is_imported(admin: Any, tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    file = tmp_path / "people.csv"
    file.write_text("name,age\nAda,36\nAlan,41\n")
    code, out, _ = lro("start", "uploads.import", "--file", str(file), "--param", "name=People", "--detach")
    assert code == 0
    operation = Operation.objects.get(pk=out.strip())
    assert (operation.input["name"], operation.input["filename"]) == ("People", "people.csv")
    assert (settings.MEDIA_ROOT / "uploads" / operation.input["upload"]).read_text() == file.read_text()
    assert not list((settings.MEDIA_ROOT / "incoming").iterdir())


def test_a_refused_file_leaves_nothing_behind(admin: Any, tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    file = tmp_path / "picture.csv"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    code, _, err = lro("start", "uploads.import", "--file", str(file))
    assert (code, "PNG image" in err) == (2, True)
    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]


def test_django_s_own_upload_handlers_serve_as_well(admin: Any, tmp_path: Path, settings: Any) -> None:
    from lro.management.cli.starting import receive

    file = tmp_path / "small.txt"
    file.write_bytes(b"x" * 200_000)
    for handler in ("MemoryFileUploadHandler", "TemporaryFileUploadHandler"):
        settings.FILE_UPLOAD_HANDLERS = [f"django.core.files.uploadhandler.{handler}"]
        with receive(file, "file") as received:
            assert (received.name, received.size, received.read()) == ("small.txt", 200_000, b"x" * 200_000)


def test_watch_ends_with_the_worst_of_several(alice: Any) -> None:
    good, bad = run_attempt("probe.counts", {"to": 2}, alice), run_attempt("probe.fails", {}, alice)
    code, out, err = lro("watch", str(good.pk), str(bad.pk))
    assert (code, json.loads(out)) == (1, {"counted": 2})
    assert "no_luck" in err


def test_a_cancelled_operation_is_exit_code_3(alice: Any) -> None:
    operation = queued(alice)
    control.act("cancel", operation.pk, "alice")
    assert lro("watch", str(operation.pk))[0] == 3


def test_a_watch_without_a_worker_says_so_and_times_out(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_WORKER_PATIENCE_SECONDS", 0.2)
    operation = queued(alice)
    code, _, err = lro("watch", str(operation.pk)[-8:], "--timeout", "3")
    assert code == 5
    assert "no worker has taken it" in err
    assert f"still going on: {operation.pk}" in err


@pytest.mark.slow
def test_ctrl_c_leaves_the_operation_and_ends_with_130(alice: Any) -> None:
    operation = queued(alice)
    script = (
        "import sys; from django.conf import settings; import django; django.setup();"
        f"settings.DATABASES['default']['NAME'] = {connection.settings_dict['NAME']!r};"
        "from django.core.management import execute_from_command_line as run;"
        f"run(['manage.py', 'lro', 'watch', '{operation.pk}'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    assert process.stderr is not None
    with process.stderr as said:
        assert "queued" in said.readline()
        process.send_signal(signal.SIGINT)
        rest = said.read()
    assert process.wait(timeout=60) == 130
    assert f"To watch again: manage.py lro watch {operation.pk}" in rest
    operation.refresh_from_db()
    assert operation.state == "queued"


def test_the_list_is_filtered_newest_first_and_bounded(alice: Any, bob: Any) -> None:
    done = [run_attempt("probe.counts", {"to": number}, alice) for number in (1, 2)]
    queued(bob)
    _, out, _ = lro("list", "--state", "succeeded", "--json")
    assert [json.loads(line)["id"] for line in out.splitlines()] == [str(row.pk) for row in reversed(done)]
    assert len(lro("list", "--limit", "1")[1].splitlines()) == 2  # with its head
    assert "queued" in lro("list", "--as", "bob")[1]
    assert "succeeded" not in lro("list", "--as", "bob")[1]


def test_show_prints_the_facts(alice: Any) -> None:
    operation = run_attempt("probe.fails", {}, alice)
    code, out, _ = lro("show", str(operation.pk)[-10:])
    assert code == 0
    assert "no_luck" in out
    assert json.loads(lro("show", str(operation.pk), "--json")[1])["error"]["code"] == "no_luck"


def test_an_ambiguous_piece_of_an_id_is_refused(alice: Any) -> None:
    first, _ = queued(alice), queued(alice)
    code, _, err = lro("show", str(first.pk)[:4])
    assert (code, "say more of it" in err) == (2, True)


def test_the_log_is_the_events_and_follows_to_the_end(alice: Any) -> None:
    operation = queued(alice, to=4)
    assert [line.split()[3] for line in lro("log", str(operation.pk))[1].splitlines()] == ["created"]
    with worker():
        code, out, _ = lro("log", str(operation.pk), "-f")
    assert code == 0
    assert [int(line.split()[0]) for line in out.splitlines()] == list(
        operation.events.values_list("sequence", flat=True)
    )


def test_acts_are_done_and_recorded_with_who_asked(alice: Any) -> None:
    first, second = queued(alice), queued(alice)
    code, out, _ = lro("cancel", str(first.pk), str(second.pk), "--yes")
    assert (code, out.count("cancelled")) == (0, 2)
    asked = first.events.get(kind="cancel.requested").data["by"]
    assert asked.endswith("(command line)")
    assert lro("retry", str(first.pk), "--as", "alice")[0] == 0
    assert first.events.filter(kind="retry.scheduled", data__by="alice").exists()


def test_an_act_that_the_state_forbids_is_refused(alice: Any) -> None:
    operation = run_attempt("probe.counts", {"to": 1}, alice)
    code, _, err = lro("pause", str(operation.pk))
    assert (code, "cannot be paused" in err) == (4, True)


def test_another_s_operation_does_not_exist_for_a_user(alice: Any, bob: Any) -> None:
    operation = queued(alice)
    for verb in ("watch", "show", "log", "cancel"):
        assert lro(verb, str(operation.pk), "--as", "bob")[0] == 4
    operation.refresh_from_db()
    assert operation.state == "queued"


def test_the_operations_are_listed_with_what_they_take(db: None) -> None:
    _, out, _ = lro("operations")
    assert any(line.startswith("probe.counts") and "to [seconds_each]" in line for line in out.splitlines())


def test_the_doctor_finds_a_queue_that_does_not_move(alice: Any) -> None:
    assert lro("doctor")[0] == 0
    operation = queued(alice)
    Operation.objects.filter(pk=operation.pk).update(run_at=operation.created_at.replace(year=2020))
    code, out, _ = lro("doctor")
    assert code == 1
    assert "Start a worker" in out
    assert "clock" in out


def test_one_round_of_the_reconciler_says_what_it_did(alice: Any, queue: str) -> None:
    operation = queued(alice)
    Operation.objects.filter(pk=operation.pk).update(woken_at=None)
    out = io.StringIO()
    call_command("lro_reconcile", "--once", stdout=out)
    assert "wake_forgotten   1   1 so far, last at " in out.getvalue()
