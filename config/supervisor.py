"""Runs the programs of the system, forwards what they say, and restarts whatever ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import IO, Any, Self, TextIO

from config import children
from config.data_directory import DataDirectory, Lock, write_private
from config.embedded import STOP_GRACE_SECONDS, launch
from config.servers import Server

SHORTEST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
LIFE_THAT_RESETS_DELAY_SECONDS = 10.0
TICK_SECONDS = 0.1
COLOURS = (36, 32, 33, 35, 34, 31)


class AlreadyRunningError(Exception):
    """Another supervisor runs on this data directory; the message names it."""


@dataclass(frozen=True)
class Program:
    """How to start something, and how to ask it to end."""

    name: str
    spawn: Callable[[children.Output], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 5.0


class Console:
    """Lines of several programs, each under its name."""

    def __init__(self, stream: TextIO, width: int = 8) -> None:
        self._stream = stream
        self._width = width
        self._is_coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._names: list[str] = []

    def write(self, name: str, line: str) -> None:
        with self._lock, suppress(OSError, ValueError):  # a reader that went away must not stop the programs
            self._stream.write(f"{self._prefix(name)} | {line}\n")
            self._stream.flush()

    def _prefix(self, name: str) -> str:
        if name not in self._names:
            self._names.append(name)
        padded = f"{name:<{self._width}}"
        colour = COLOURS[self._names.index(name) % len(COLOURS)]
        return f"\x1b[{colour}m{padded}\x1b[0m" if self._is_coloured else padded


@dataclass
class Child:
    """A program and the process that is running it now."""

    program: Program
    console: Console
    process: subprocess.Popen[bytes] | None = None
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=5))
    _delay: float = SHORTEST_DELAY_SECONDS
    _started_at: float = 0.0
    _due_at: float | None = None
    _reader: threading.Thread | None = None

    def start(self) -> subprocess.Popen[bytes]:
        self._due_at = None
        self._started_at = time.monotonic()
        self.process = self.program.spawn(subprocess.PIPE)
        self._reader = threading.Thread(target=self._forward, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        return self.process

    def tend(self) -> bool:
        """Whether the process had ended and has now been started again."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self._plan_restart(now, self.process)
        if self._due_at is None or now < self._due_at:
            return False
        self.start()
        return True

    def tail(self) -> str:
        self.drain()
        return "\n".join(self.last_lines)

    def drain(self) -> None:
        """Let the last lines through; a grandchild may hold the pipe open, so not for ever."""
        if self._reader is not None:
            self._reader.join(timeout=1.0)

    def _plan_restart(self, now: float, process: subprocess.Popen[bytes]) -> None:
        children.kill_group(process)
        if now - self._started_at >= LIFE_THAT_RESETS_DELAY_SECONDS:
            self._delay = SHORTEST_DELAY_SECONDS
        self.console.write(
            self.program.name, f"ended with exit code {process.returncode}; starting again in {self._delay:g} s"
        )
        self.process = None
        self._due_at = now + self._delay
        self._delay = min(self._delay * 2, LONGEST_DELAY_SECONDS)

    def _forward(self, pipe: IO[bytes]) -> None:
        with pipe:
            for raw in pipe:
                line = raw.decode(errors="replace").rstrip()
                self.last_lines.append(line)
                self.console.write(self.program.name, line)


class Supervisor:
    """Starts programs in order, keeps them alive until a signal, and stops the servers last."""

    def __init__(self, data: DataDirectory, console: Console, facts: dict[str, Any]) -> None:
        self._record = data.root / "run.json"
        self._console = console
        self._facts = facts
        self._servers: list[Child] = []
        self._clients: list[Child] = []
        self._signals = 0
        self._wake = threading.Event()

    @property
    def is_stopping(self) -> bool:
        return self._signals > 0

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for group in (self._clients, self._servers):
            self._stop(group)
        self._record.unlink(missing_ok=True)

    def add_server(self, server: Server) -> None:
        """Start an embedded server and return once it answers."""
        server.prepare()
        child = Child(Program(server.name, server.spawn, server.stop_signal, STOP_GRACE_SECONDS), self._console)
        self._servers.append(child)
        launch(server, child.start, child.tail)
        self._write_record()

    def add_client(self, program: Program) -> None:
        child = Child(program, self._console)
        self._clients.append(child)
        child.start()
        self._write_record()

    def tend(self, on_tick: Callable[[], None]) -> None:
        """Restart whatever ends, until a signal comes."""
        while not self.is_stopping:
            restarted = [child.tend() for child in (*self._servers, *self._clients)]
            if any(restarted):
                self._write_record()
            on_tick()
            self._wake.wait(TICK_SECONDS)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._wake.set()

    def _stop(self, group: Sequence[Child]) -> None:
        running = {
            child.process: (child.program.stop_signal, child.program.grace_seconds)
            for child in group
            if child.process is not None
        }
        children.stop(running, is_hurried=lambda: self._signals > 1)
        for child in group:
            child.drain()

    def _write_record(self) -> None:
        started = [child for child in (*self._clients, *self._servers) if child.process is not None]
        processes = {child.program.name: child.process.pid for child in started if child.process is not None}
        write_private(self._record, json.dumps({**self._facts, "pid": os.getpid(), "processes": processes}, indent=2))


@contextmanager
def only_instance(data: DataDirectory) -> Iterator[None]:
    """Hold the data directory's supervisor lock, or name who does."""
    with Lock(data.root / "up.lock") as lock:
        if not lock.try_take():
            pid = lock.signature()
            raise AlreadyRunningError(
                f"The system is already running on {data.root} (process {pid}). "
                f"Stop that one with Ctrl-C or `kill {pid}`, or choose another folder with LRO_DATA_DIR."
            )
        lock.sign()
        yield


def python_program(name: str, arguments: Sequence[str], data: DataDirectory, grace_seconds: float = 5.0) -> Program:
    """A program of this project, run with this Python on this data."""
    environment = {**os.environ, "LRO_DATA_DIR": str(data.root), "PYTHONUNBUFFERED": "1"}

    def spawn(output: children.Output) -> subprocess.Popen[bytes]:
        return children.spawn(
            [sys.executable, "-m", *arguments],
            death_signal=signal.SIGKILL,
            output=output,
            environment=environment,
        )

    return Program(name, spawn, grace_seconds=grace_seconds)
