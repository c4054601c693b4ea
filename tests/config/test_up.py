"""The supervisor from outside: one command starts everything, keeps it alive, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from config.data_directory import DataDirectory
from tests.waiting import are_gone, until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
NAMES = ("web", "worker1", "postgres", "valkey")

pytestmark = pytest.mark.slow


@dataclass
class Running:
    """A started `manage.py up`."""

    process: subprocess.Popen[bytes]
    data: DataDirectory
    port: int
    log: Path

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.data.root / "run.json").read_text())
        return record

    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = self.record()["processes"]
        return pids

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/admin/login/", timeout=20).status_code == 200
        except httpx.TransportError:
            return False

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def said(self, text: str) -> Callable[[], bool]:
        return lambda: text in self.log.read_text(errors="replace")


def listens(pid: int, port: int) -> bool:
    connections = psutil.Process(pid).net_connections("tcp")
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def command(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def environment(data: DataDirectory) -> dict[str, str]:
    return {**os.environ, "LRO_DATA_DIR": str(data.root), "LRO_DEMO_PASSWORD": "open sesame", "LRO_QUEUES": "cpu"}


def refused(data: DataDirectory, port: int) -> str:
    attempt = subprocess.run(
        command("up", "--port", str(port)), cwd=ROOT, env=environment(data), capture_output=True, text=True, timeout=180
    )
    assert attempt.returncode == 2
    assert "Traceback" not in attempt.stderr
    return attempt.stderr


@contextmanager
def up(data: DataDirectory, log: Path, *options: str) -> Iterator[Running]:
    """The whole system, ended with its children whatever the test does."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("up", "--port", str(port), *options),
            cwd=ROOT,
            env=environment(data),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Running(process, data, port, log)
    try:
        until(running.said("ready."), within=START_SECONDS, what="the worker is ready")
        until(running.said("Ctrl-C\n"), within=START_SECONDS, what="the banner is printed")
        yield running
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    """One folder for the module: starting again on it is part of what is tested."""
    return DataDirectory(tmp_path_factory.mktemp("up") / "data")


@pytest.fixture(scope="class")
def shared(data: DataDirectory) -> Iterator[Running]:
    with up(data, data.root.with_name("shared.log")) as running:
        yield running


class TestRunning:
    """What holds while it runs: one start for all of these."""

    def test_it_serves_and_says_where(self, shared: Running) -> None:
        assert shared.answers()
        assert set(shared.pids()) == set(NAMES)
        banner = shared.log.read_text()
        assert f"http://127.0.0.1:{shared.port}/admin/" in banner
        assert banner.count("open sesame") == 3
        assert "exchange=cpu" in banner

    def test_a_second_instance_is_refused_by_name(self, shared: Running, data: DataDirectory) -> None:
        message = refused(data, free_port())
        assert f"process {shared.process.pid}" in message
        assert f"kill {shared.process.pid}" in message

    @pytest.mark.parametrize("name", NAMES)
    def test_whatever_is_killed_comes_back(self, shared: Running, name: str) -> None:
        killed = shared.pids()[name]
        os.kill(killed, signal.SIGKILL)
        until(lambda: shared.pids().get(name, killed) != killed, what=f"{name} is started again")
        until(shared.answers, within=START_SECONDS, what="the web answers again")


@pytest.fixture
def running(data: DataDirectory, tmp_path: Path) -> Iterator[Running]:
    with up(data, tmp_path / "up.log") as running:
        yield running


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_with_nothing_left_running(running: Running, asked: signal.Signals) -> None:
    processes = running.descendants()
    running.process.send_signal(asked)
    assert running.process.wait(timeout=60) == 0
    until(lambda: are_gone(processes), within=5, what="what was killed last has ended")
    assert not (running.data.root / "run.json").exists()


def test_killing_the_supervisor_takes_everything_with_it(running: Running) -> None:
    processes = running.descendants()
    assert len(processes) > len(NAMES)
    running.process.kill()
    until(lambda: are_gone(processes), what="every descendant is gone")


def test_several_web_processes_serve_one_port_and_go_with_the_supervisor(tmp_path: Path) -> None:
    with up(DataDirectory(tmp_path / "data"), tmp_path / "up.log", "--web", "2") as running:
        pids = running.pids()
        assert {"web1", "web2"} < set(pids)
        until(lambda: all(listens(pids[name], running.port) for name in ("web1", "web2")), what="both serve")
        killed = psutil.Process(pids["web1"])
        killed.kill()
        until(lambda: are_gone([killed]), what="it is dead, and listens no more")
        assert running.answers()
        until(lambda: running.pids()["web1"] != pids["web1"], what="it comes back")
        processes = running.descendants()
        running.process.kill()
        until(lambda: are_gone(processes), what="nothing is left")


def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        message = refused(data, port)
    assert f"Port {port} on 127.0.0.1 is taken" in message
    assert f"make run PORT={port + 1}" in message
    assert not data.postgres.exists()
