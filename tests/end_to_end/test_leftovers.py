"""What a killed process leaves behind is gone before anybody has to care."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest

from tests.end_to_end.stack import ALIAS, Stack
from tests.end_to_end.test_stopping import start
from tests.waiting import until

pytestmark = pytest.mark.slow


def temporary(stack: Stack) -> list[Path]:
    return [path for path in Path(stack.files.path("temporary")).rglob("*") if path.is_file()]


def artifacts(stack: Stack) -> set[str]:
    folder = Path(stack.files.path("artifacts"))
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_the_temporary_files_of_a_killed_process_are_gone_within_seconds(drained: Stack, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    before = artifacts(drained)
    identifier = start(drained, "probe.litters", diary=str(diary), ends="sleep", attempt=1)
    asleep = drained.operation(identifier).events.using(ALIAS).filter(kind="log")
    until(lambda: asleep.exists(), what="it sleeps")
    assert len(temporary(drained)) == 1
    drained.kill_child(identifier)
    until(lambda: temporary(drained) == [], what="its temporary file is gone")
    until(lambda: diary.exists() and len(diary.read_text().split()) >= 2, what="its cleanups ran")
    operation = drained.await_end(identifier)
    assert (operation.state, operation.attempt) == ("succeeded", 2)
    assert sorted(diary.read_text().split()) == ["first", "first", "last", "last"], "once for each attempt"
    artifact = operation.artifacts.using(ALIAS).get()
    assert artifacts(drained) - before == {Path(artifact.file.name).name}


def test_deleting_an_operation_deletes_its_file(drained: Stack, tmp_path: Path) -> None:
    identifier = start(drained, "probe.litters", diary=str(tmp_path / "diary"))
    operation = drained.await_end(identifier)
    path = Path(drained.files.path(operation.artifacts.using(ALIAS).get().file.name))
    assert path.read_text() == "final"
    assert drained.client().delete(f"/operations/{identifier}").status_code == 204
    assert not path.exists()
    assert (tmp_path / "diary").read_text().split()[-2:] == ["forget", "succeeded"]


def test_what_does_not_listen_to_a_cancel_leaves_nothing_either(drained: Stack, tmp_path: Path) -> None:
    identifier = start(drained, "probe.litters", diary=str(tmp_path / "diary"), ends="sleep")
    until(lambda: temporary(drained), what="it sleeps")
    client = drained.client()
    client.post(f"/operations/{identifier}/cancel")
    assert drained.await_end(identifier).state == "cancelled"
    until(lambda: temporary(drained) == [], what="its process was killed, and its temporary file is gone")


def test_a_frozen_process_that_wakes_up_is_too_late_and_leaves_nothing(drained: Stack, tmp_path: Path) -> None:
    identifier = start(drained, "probe.litters", diary=str(tmp_path / "diary"), ends="listen")
    until(lambda: temporary(drained), what="it listens")
    process = int(drained.operation(identifier).worker.rsplit("/", 1)[1])
    os.kill(process, signal.SIGSTOP)
    thaw = threading.Timer(6, _thaw, [process])  # frozen in a transaction, it would hold the cancel up for ever
    thaw.start()
    drained.client().post(f"/operations/{identifier}/cancel")
    assert drained.await_end(identifier).state == "cancelled"
    until(lambda: temporary(drained) == [], what="its temporary file is gone")
    thaw.join()


def _thaw(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)
