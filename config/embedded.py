"""The embedded servers: found by any command, or started for its own time."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from config import children
from config.data_directory import DataDirectory, Lock, taken
from config.servers import EmbeddedError, Postgres, Server, Valkey

__all__ = ["EmbeddedError", "embedded_servers", "launch", "serving", "sole_use"]

START_TIMEOUT_SECONDS = 30.0
JOIN_TIMEOUT_SECONDS = 15.0
STOP_GRACE_SECONDS = 20.0


def embedded_servers(data: DataDirectory) -> list[Server]:
    """The servers that are ours to run: none for which the environment names one's own."""
    servers: list[Server] = []
    if not os.environ.get("DATABASE_URL"):
        servers.append(Postgres(data))
    if not os.environ.get("REDIS_URL"):
        servers.append(Valkey(data))
    return servers


@contextmanager
def serving(data: DataDirectory | None = None) -> Iterator[None]:
    """Use the servers that another process runs, or run them for the time of the block."""
    data = data or DataDirectory.from_environment()
    servers = embedded_servers(data)
    if not servers:
        yield
        return
    data.create()
    with Lock(data.root / "use.lock") as use:
        started = _join_or_start(data, servers, use)
        try:
            yield
        finally:
            if started:
                # Commands that joined hold the lock shared: wait for the last of them.
                use.take()
                _stop(started)


@contextmanager
def sole_use(data: DataDirectory, use: Lock, on_wait: Callable[[], None]) -> Iterator[None]:
    """Within the block no other command can start or find servers; afterwards they can join the ones started in it."""
    data.create()
    with taken(data.root / "start.lock"):
        if not use.try_take():
            on_wait()
            use.take()
        yield
        use.share()


def launch(server: Server, spawn: Callable[[], subprocess.Popen[bytes]], last_lines: Callable[[], str]) -> None:
    """Start a prepared server with `spawn` and return once it answers; no other may be running on its data."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    _await_silence(server, deadline)
    process = spawn()
    while not server.answers():
        is_late = time.monotonic() > deadline
        if is_late or (process.poll() is not None and not server.is_worth_retrying(last_lines())):
            children.stop({process: (server.stop_signal, 1.0)})
            raise EmbeddedError(_failed_start(server, process, last_lines()))
        if process.poll() is not None:
            time.sleep(0.2)
            process = spawn()
        time.sleep(0.02)
    server.finish()


def _join_or_start(
    data: DataDirectory, servers: Sequence[Server], use: Lock
) -> list[tuple[Server, subprocess.Popen[bytes]]]:
    with taken(data.root / "start.lock"):
        if use.try_take():
            missing = list(servers)
        else:
            use.share()
            missing = _still_missing(servers)
        started = _start(data, missing)
        use.share()
        return started


def _still_missing(servers: Sequence[Server]) -> list[Server]:
    # A supervisor may be restarting one: give it time before starting a second on the same data.
    deadline = time.monotonic() + JOIN_TIMEOUT_SECONDS
    while missing := [server for server in servers if not server.answers()]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return missing


def _start(data: DataDirectory, servers: Sequence[Server]) -> list[tuple[Server, subprocess.Popen[bytes]]]:
    started: list[tuple[Server, subprocess.Popen[bytes]]] = []
    try:
        for server in servers:
            process = _start_logged(server, data.root / f"{server.name}.log")
            started.append((server, process))
    except BaseException:
        _stop(started)
        raise
    return started


def _stop(started: Sequence[tuple[Server, subprocess.Popen[bytes]]]) -> None:
    children.stop({process: (server.stop_signal, STOP_GRACE_SECONDS) for server, process in started})


def _start_logged(server: Server, log: Path) -> subprocess.Popen[bytes]:
    spawned: list[subprocess.Popen[bytes]] = []

    def spawn() -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            spawned.append(server.spawn(output))
        return spawned[-1]

    server.prepare()
    launch(server, spawn, lambda: "\n".join(log.read_text(errors="replace").splitlines()[-5:]))
    return spawned[-1]


def _await_silence(server: Server, deadline: float) -> None:
    """Wait for the server of a process that was killed: it has been told to stop, and may still answer."""
    while server.answers():
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"Another {server.name} server is running on this data directory and no command of ours holds it. "
                "Stop it, or choose another folder with LRO_DATA_DIR."
            )
        time.sleep(0.02)


def _failed_start(server: Server, process: subprocess.Popen[bytes], last_lines: str) -> str:
    return (
        f"The embedded {server.name} did not start (exit code {process.returncode}); its last lines:\n{last_lines}\n"
        "If the data is damaged, delete it with `make clean-data` or choose another folder with LRO_DATA_DIR; "
        "or name servers of your own in DATABASE_URL and REDIS_URL."
    )
