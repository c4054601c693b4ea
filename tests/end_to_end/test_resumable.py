"""Real clients send a file through a network that fails, to a server that is killed: the bytes are equal."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.cut_uploads import Sender, by_curl, by_tus_js, send, stored_digest, write_csv
from tests.end_to_end.stack import ALIAS, ROOT, Stack, free_port
from tests.waiting import until
from uploads.models import ResumableUpload

pytestmark = pytest.mark.slow

MEGABYTES = 32


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    return path, write_csv(path, MEGABYTES)


@pytest.mark.parametrize("sender", [by_tus_js, by_curl], ids=lambda sender: sender.__name__)
def test_a_real_client_goes_on_after_each_of_ten_cuts(drained: Stack, table: tuple[Path, str], sender: Sender) -> None:
    path, digest = table
    sent = send(drained, sender, path, cuts=10)
    assert sent.cuts == 10
    assert drained.client().get(f"/operations/{sent.operation}").json()["name"] == "uploads.import"
    assert stored_digest(drained, sent.operation) == digest
    operation = drained.await_end(sent.operation)
    assert (operation.state, operation.rejected) == ("succeeded", 0), operation.error
    assert operation.result["sha256"] == digest


def test_a_client_that_sends_in_chunks_is_served_too(drained: Stack, table: tuple[Path, str]) -> None:
    path, digest = table
    sent = send(drained, lambda *wanted: by_tus_js(*wanted, chunk=4_000_000), path, cuts=3)
    assert stored_digest(drained, sent.operation) == digest
    drained.await_end(sent.operation)


class Sending(threading.Thread):
    """Sends bytes from `offset` on, with a pause after each piece, until it is thrown out."""

    def __init__(
        self, stack: Stack, place: str, content: bytes, offset: int, pause: float, server: str | None = None
    ) -> None:
        super().__init__(daemon=True)
        self._request = (f"{server or stack.url}{place}", headers(stack) | {"Upload-Offset": str(offset)})
        self._content, self._offset, self._pause = content, offset, pause
        self.answer: httpx.Response | None = None

    def run(self) -> None:
        address, told = self._request
        try:
            self.answer = httpx.patch(address, headers=told, content=self._pieces(), timeout=60)
        except httpx.TransportError:
            self.answer = None

    def _pieces(self) -> Iterator[bytes]:
        for start in range(self._offset, len(self._content), 256 * 1024):
            yield self._content[start : start + 256 * 1024]
            time.sleep(self._pause)


def headers(stack: Stack) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {stack.token()}",
        "Tus-Resumable": "1.0.0",
        "Content-Type": "application/offset+octet-stream",
    }


def begin(stack: Stack, length: int) -> str:
    told = headers(stack) | {"Upload-Length": str(length), "Upload-Metadata": "filename dGFibGUuY3N2"}
    told.pop("Content-Type")
    return str(httpx.post(f"{stack.url}/uploads/files/", headers=told, timeout=60).headers["Location"])


def row(stack: Stack, place: str) -> ResumableUpload:
    found = ResumableUpload.objects.using(ALIAS)
    return found.get(pk=place.rsplit("/", 1)[1])


def test_a_kill_of_the_web_process_costs_at_most_what_was_not_yet_counted(
    drained: Stack, table: tuple[Path, str]
) -> None:
    path, digest = table
    content = path.read_bytes()
    place, offset = begin(drained, len(content)), 0
    for how, pause in ((signal.SIGKILL, 0.1), (signal.SIGTERM, 0.2)):  # slower than a shutdown waits
        sending = Sending(drained, place, content, offset, pause)
        sending.start()
        until(lambda seen=offset: row(drained, place).offset > seen, what="some bytes are counted")
        os.kill(drained.pid("web"), how)
        sending.join(60)
        client = drained.client()
        offset = int(client.head(place, headers={"Tus-Resumable": "1.0.0"}).headers["Upload-Offset"])
        assert 0 < offset < len(content)
    told = headers(drained) | {"Upload-Offset": str(offset)}
    answer = httpx.patch(f"{drained.url}{place}", headers=told, content=content[offset:], timeout=60)
    assert answer.status_code == 204
    started = drained.client().post("/uploads/import", json={"upload": place.rsplit("/", 1)[1], "sha256": digest})
    assert started.status_code == 200, started.text
    assert stored_digest(drained, started.json()["id"]) == digest
    drained.await_end(started.json()["id"])


@contextmanager
def another_web_process(stack: Stack) -> Iterator[tuple[str, int]]:
    """Of the same system: its address, and its process."""
    port = free_port()
    environment = stack.environment | {name.upper(): stack.run[name] for name in ("database_url", "redis_url")}
    command = [sys.executable, "-m", "config.web", "127.0.0.1", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        until(lambda: is_served(f"http://127.0.0.1:{port}"), within=180, what="another process answers")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.wait()


def is_served(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_two_web_processes_that_append_at_once_never_mix_their_bytes(drained: Stack) -> None:
    first, second = (random.Random(seed).randbytes(4 * 2**20) for seed in (1, 2))
    with another_web_process(drained) as (other, pid):
        place = begin(drained, len(first))
        both = [Sending(drained, place, first, 0, 0.02), Sending(drained, place, second, 0, 0.02, other)]
        for sending in both:
            sending.start()
        for sending in both:
            sending.join(60)
        statuses = [sending.answer.status_code if sending.answer else 0 for sending in both]
        assert sorted(statuses) in ([204, 409], [204, 423])
        whole = (first, second)[statuses.index(204)]
        assert row(drained, place).sha256 == hashlib.sha256(whole).hexdigest()
        assert Path(drained.files.path(f"incoming/{place.rsplit('/', 1)[1]}")).read_bytes() == whole

        place = begin(drained, len(first))
        killed = Sending(drained, place, first, 0, 0.05, other)
        killed.start()
        until(lambda: row(drained, place).offset > 0, what="some bytes are counted")
        os.kill(pid, signal.SIGKILL)
        killed.join(60)
        offset = row(drained, place).offset
        rest = Sending(drained, place, first, offset, 0.0)
        rest.run()
        assert rest.answer is not None
        assert rest.answer.status_code == 204
        assert row(drained, place).sha256 == hashlib.sha256(first).hexdigest()
