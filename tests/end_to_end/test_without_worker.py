"""The web process answers, whatever the worker does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.stack import Stack
from tests.uploads.generator import Truth

pytestmark = pytest.mark.slow


@pytest.fixture
def frozen_worker(drained: Stack) -> Iterator[Stack]:
    """A worker that is there and does nothing, as one whose machine hangs."""
    pid = drained.pid("worker1")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    frozen = [pid, *map(int, children)]
    for process in frozen:
        os.kill(process, signal.SIGSTOP)
    yield drained
    for process in frozen:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def test_an_upload_is_answered_while_no_worker_moves_and_runs_when_one_does(
    frozen_worker: Stack, small_file: tuple[Path, Truth]
) -> None:
    stack, (path, truth) = frozen_worker, small_file
    with stack.client() as client:
        started = stack.upload(client, path)
        assert started["state"] == "queued"
        assert client.get(f"/operations/{started['id']}").json()["state"] == "queued"
    os.kill(stack.pid("worker1"), signal.SIGKILL)  # the supervisor starts one that works
    assert stack.await_end(started["id"]).result["rows"] == truth.good_rows


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGSTOP"])
def test_an_operation_is_accepted_while_the_broker_is_away_and_runs_later(drained: Stack, signal_name: str) -> None:
    valkey = drained.pid("valkey")
    with drained.client() as client:
        os.kill(valkey, getattr(signal, signal_name))
        try:
            began = time.monotonic()
            answer = client.post("/probe/counts", json={"to": 3})
            assert answer.status_code == 200
            assert time.monotonic() - began < 5, "who waits for the broker does so for five seconds"
        finally:
            if signal_name == "SIGSTOP":
                os.kill(valkey, signal.SIGCONT)
    assert drained.await_end(answer.json()["id"]).result == {"counted": 3}


def test_a_crash_loop_ends_in_quarantine_and_the_worker_lives_on(drained: Stack) -> None:
    with drained.client() as client:
        identifier = client.post("/probe/crashes", json={"survives_at": 99}).json()["id"]
        operation = drained.await_end(identifier)
        assert (operation.state, operation.attempt) == ("failed", 3)
        assert operation.error["code"] == "quarantined"
        assert httpx.get(f"{drained.url}/health/live", timeout=60).status_code == 200
