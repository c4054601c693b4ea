"""The whole system as real processes, and the ways in which it may be hurt."""

from __future__ import annotations

import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import dj_database_url
import httpx
import jwt
import psutil
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.files.storage import FileSystemStorage
from django.db import connections

from lro.models import Operation
from tests.probe.gate import Gate
from tests.waiting import is_alive, until

ROOT = Path(__file__).resolve().parents[2]
ALIAS = "stack"
PASSWORD = "a-password-for-tests"


class Stack:
    """A running `manage.py up`; its database is reachable as the Django alias `stack`."""

    def __init__(self, folder: Path, port: int, *options: str, **environment: str) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://127.0.0.1:{port}"
        self.log, self.gate = folder / "up.log", Gate(folder)
        self._clients: list[httpx.Client] = []
        keep = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        self.environment = keep | {
            "LRO_DATA_DIR": str(folder / "data"),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LRO_DEMO_PASSWORD": PASSWORD,
            "LRO_TEST_GATE": str(folder),
            **environment,
        }
        command = [sys.executable, "manage.py", "up", "--port", str(port), *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def await_ready(self) -> None:
        until(self._answers, within=180, what=f"the system answers\n{self.log.read_text()[-3000:]}")
        database = {**dj_database_url.parse(self.run["database_url"])}
        default = connections.databases["default"]
        point_alias_at(connections.configure_settings({"default": default, ALIAS: database})[ALIAS])

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return httpx.get(f"{self.url}/health/live").status_code == 200 and "worker1" in self.run["processes"]
        except (httpx.TransportError, FileNotFoundError):
            return False

    def add_user(self, username: str) -> None:
        """Another person, who may do what everybody may."""
        user = get_user_model()(username=username, password=make_password(PASSWORD))
        if not get_user_model().objects.using(ALIAS).filter(username=username).exists():
            user.save(using=ALIAS)

    @property
    def run(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "data" / "run.json").read_text()))

    @property
    def files(self) -> FileSystemStorage:
        return FileSystemStorage(self.folder / "data" / "files")

    def pid(self, name: str) -> int:
        """The process that is `name` now: what another test killed is being started again."""
        return int(until(lambda: self._alive(name), what=f"{name} is there"))

    def _alive(self, name: str) -> int | None:
        pid = int(self.run["processes"].get(name, 0))
        with suppress(psutil.NoSuchProcess):
            return pid if pid and is_alive(psutil.Process(pid)) else None
        return None

    def stop(self) -> int:
        for client in self._clients:
            client.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=90)

    # What people do

    def client(self, username: str = "demo") -> httpx.Client:
        answer = until(lambda: self._login(username), what="a login succeeds")
        client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {answer}"}, timeout=60)
        self._clients.append(client)
        return client

    def _login(self, username: str) -> str | None:
        try:
            answer = httpx.post(
                f"{self.url}/auth/token/", json={"username": username, "password": PASSWORD}, timeout=30
            )
        except httpx.TransportError:
            return None
        return str(answer.json()["access"]) if answer.status_code == 200 else None

    def token(self, username: str = "demo") -> str:
        return str(until(lambda: self._login(username), what="a login succeeds"))

    def brief_token(self, seconds: float, username: str = "demo") -> str:
        """A token that expires so soon, made as the system makes its own."""
        secret = self.environment.get("DJANGO_SECRET_KEY") or (self.folder / "data" / "secret_key").read_text().strip()
        derived = hmac.digest(secret.encode(), b"jwt signing key", "sha256").hex()
        user = get_user_model().objects.using(ALIAS).get(username=username)
        now = time.time()
        claims = {"token_type": "access", "exp": now + seconds, "iat": now, "jti": uuid4().hex, "user_id": str(user.pk)}
        return jwt.encode(claims, self.environment.get("JWT_SIGNING_KEY") or derived, "HS256")

    def upload(self, client: httpx.Client, path: Path, **fields: str) -> dict[str, Any]:
        with path.open("rb") as file:
            answer = client.post("/uploads/import", files={"file": (path.name, file, "text/csv")}, data=fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    # What the rows say

    def operation(self, identifier: str) -> Operation:
        connection = connections[ALIAS]
        connection.close_if_unusable_or_obsolete()
        return Operation.objects.using(ALIAS).get(pk=identifier)

    def state(self, identifier: str) -> str:
        return str(self.ask(lambda: self.operation(identifier).state, "unknown"))

    def ask(self, question: Any, otherwise: Any) -> Any:
        """Ask the database, which may just be restarting."""
        from django.db import DatabaseError, InterfaceError

        try:
            return question()
        except (DatabaseError, InterfaceError):
            connections[ALIAS].close()
            return otherwise

    def await_progress(self, identifier: str, percent: float) -> Operation:
        def reached() -> Operation | None:
            row = self.ask(lambda: self.operation(identifier), None)
            if row is None:
                return None
            assert not row.is_terminal, f"it ended at {row.state} before {percent} %: {row.error}"
            return row if (row.progress.get("percent") or 0) >= percent and row.state == "running" else None

        found: Operation = until(reached, within=180, what=f"{percent} % of {identifier}", every=0.02)
        return found

    def await_end(self, identifier: str, within: float = 180) -> Operation:
        def ended() -> Operation | None:
            row = self.ask(lambda: self.operation(identifier), None)
            return row if row is not None and row.is_terminal else None

        row: Operation = until(ended, within=within, what=f"the end of {identifier}\n{self.log.read_text()[-4000:]}")
        return row

    # How it is hurt

    def kill_child(self, identifier: str) -> None:
        """SIGKILL the pool process that runs the operation."""
        os.kill(int(self.operation(identifier).worker.rsplit("/", 1)[1]), signal.SIGKILL)

    def kill_worker(self, identifier: str) -> None:
        os.kill(self.pid("worker1"), signal.SIGKILL)

    def flush_valkey(self, identifier: str) -> None:
        redis.Redis.from_url(self.run["redis_url"]).flushall()

    def restart_postgres(self, identifier: str) -> None:
        """An immediate shutdown, as in a crash; the supervisor starts it again."""
        connections[ALIAS].close()
        os.kill(self.pid("postgres"), signal.SIGQUIT)

    def kill_web(self, identifier: str) -> None:
        os.kill(self.pid("web"), signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def point_alias_at(database: dict[str, Any] | None) -> None:
    """Let the Django alias mean this database from now on; a connection to the one before is closed."""
    if ALIAS in connections.databases:
        forget_connection()
        del connections.databases[ALIAS]
    if database is not None:
        connections.databases[ALIAS] = database


def forget_connection() -> None:
    """Django keeps one connection beside a running event loop and another without: each must be let go where it is."""
    if ALIAS in connections.databases:
        connections[ALIAS].close()
        del connections[ALIAS]


@contextmanager
def running(*options: str, **environment: str) -> Iterator[Stack]:
    """A stack for the time of the block; another one that runs already is hidden meanwhile."""
    hidden = connections.databases.get(ALIAS)
    with tempfile.TemporaryDirectory(prefix="lro-stack-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder), free_port(), *options, **environment)
        try:
            stack.await_ready()
            yield stack
        finally:
            point_alias_at(hidden)
            stack.stop()
