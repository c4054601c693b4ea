"""`manage.py up`: the whole system with one command."""

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from config import data_directory
from config.addresses import PortError, address, answers, reachable, require_free_port
from config.data_directory import DataDirectory, Lock
from config.demo import Account, ensure_accounts
from config.embedded import EmbeddedError, embedded_servers, sole_use
from config.supervisor import AlreadyRunningError, Console, Program, Supervisor, only_instance, python_program

ANSWER_TIMEOUT_SECONDS = 60.0
WORKER_OPTIONS = (
    *("--pool", "prefork", "-l", "info"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)


class Command(BaseCommand):
    """Run servers, web and workers until Ctrl-C, and leave nothing running."""

    help = "Run the whole system: servers, migrations, demo accounts, web and workers; Ctrl-C stops it."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--web", type=int, default=1, help="web processes to run, all on the one port")
        parser.add_argument("--workers", type=int, default=1, help="Celery workers to run")
        parser.add_argument("--concurrency", type=int, default=2, help="tasks at once in each worker")
        parser.add_argument("--no-demo", action="store_true", help="make no demo accounts")

    def handle(self, *args: Any, **options: Any) -> None:
        data = DataDirectory.from_environment()
        try:
            with only_instance(data):
                require_free_port(options["host"], options["port"])
                self._run(data, options)
        except (AlreadyRunningError, EmbeddedError, PortError) as error:
            raise CommandError(str(error), returncode=2) from error

    def _run(self, data: DataDirectory, options: dict[str, Any]) -> None:
        data.create()
        url = address(options["host"], options["port"])
        facts = {
            "url": url,
            "database_url": data_directory.database_url(data),
            "redis_url": data_directory.redis_url(data),
        }
        with (
            Lock(data.root / "use.lock") as use,
            Supervisor(data, Console(sys.stdout), facts) as supervisor,
        ):
            self._start_servers(data, use, supervisor)
            accounts = [] if supervisor.is_stopping else self._prepare_database(data, options)
            if not supervisor.is_stopping:
                for program in programs(data, options):
                    supervisor.add_client(program)
            supervisor.tend(Announcement(self, url, options, data, accounts).tick)
            self.stdout.write("Stopping …")

    def _start_servers(self, data: DataDirectory, use: Lock, supervisor: Supervisor) -> None:
        servers = embedded_servers(data)
        if not servers:
            return
        with sole_use(data, use, lambda: self.stdout.write("Waiting for another command on this data to end …")):
            for server in servers:
                if not supervisor.is_stopping:
                    supervisor.add_server(server)

    def _prepare_database(self, data: DataDirectory, options: dict[str, Any]) -> list[Account]:
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        accounts = [] if options["no_demo"] else ensure_accounts(data)
        connections.close_all()
        return accounts


class Announcement:
    """Says where everything is, once the web answers."""

    def __init__(
        self, command: Command, url: str, options: dict[str, Any], data: DataDirectory, accounts: Sequence[Account]
    ) -> None:
        self._command = command
        self._url = url
        self._endpoint = (reachable(options["host"]), options["port"])
        self._data = data
        self._accounts = accounts
        self._deadline = time.monotonic() + ANSWER_TIMEOUT_SECONDS
        self._is_made = False

    def tick(self) -> None:
        if self._is_made:
            return
        if answers(*self._endpoint):
            self._say([*self._lines(), ""])
        elif time.monotonic() > self._deadline:
            self._say([f"The web has not answered within {ANSWER_TIMEOUT_SECONDS:g} s: its lines above say why."])

    def _say(self, lines: Sequence[str]) -> None:
        self._is_made = True
        self._command.stdout.write("\n".join(lines))
        self._command.stdout.flush()

    def _lines(self) -> Iterator[str]:
        yield ""
        yield f"  Open      {self._url}"
        yield f"  Admin     {self._url}admin/"
        for account in self._accounts:
            yield f"  Account   {account}"
        yield f"  Data      {self._data.root}"
        yield "  Stop      Ctrl-C"


def programs(data: DataDirectory, options: dict[str, Any]) -> Iterator[Program]:
    """The web servers and the workers."""
    for number in range(1, options["web"] + 1):
        name = "web" if options["web"] == 1 else f"web{number}"
        yield python_program(name, ["config.web", options["host"], str(options["port"])], data, grace_seconds=7.0)
    queues = ",".join(dict.fromkeys(["default", *queues_from_environment()]))
    for number in range(1, options["workers"] + 1):
        name = f"worker{number}"
        slots = ["-n", f"{name}@%h", "-Q", queues, "--concurrency", str(options["concurrency"])]
        yield python_program(name, ["celery", "-A", "config", "worker", *WORKER_OPTIONS, *slots], data)


def queues_from_environment() -> list[str]:
    return [queue.strip() for queue in os.environ.get("LRO_QUEUES", "").split(",") if queue.strip()]
