"""The ways in which a running system is hurt, by name."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg
import redis

from lro.models import Operation
from lro.states import HELD
from tests.end_to_end.stack import ALIAS, Stack

#: Longer than the lease of these runs.
_ZOMBIE_SECONDS = 6.0
_STALL_SECONDS = 3.0


def kill_child(stack: Stack, chance: random.Random) -> list[str]:
    """SIGKILL of a pool process in the middle of an attempt. The answer is the operations that it held."""
    held = list(Operation.objects.using(ALIAS).filter(state__in=HELD).values_list("pk", "worker"))
    if not held:
        return []
    operation, worker = chance.choice(held)
    send(int(worker.rsplit("/", 1)[1]), signal.SIGKILL)
    return [str(operation)]


def kill_worker(stack: Stack, chance: random.Random) -> list[str]:
    return _hit_worker(stack, chance, signal.SIGKILL)


def deploy(stack: Stack, chance: random.Random) -> list[str]:
    """SIGTERM: the worker gives back what it holds, and a new one starts."""
    _hit_worker(stack, chance, signal.SIGTERM)
    return []


def zombie(stack: Stack, chance: random.Random) -> list[str]:
    """A pool process that freezes for longer than its lease, and then goes on as if nothing had been."""
    held = list(Operation.objects.using(ALIAS).filter(state__in=HELD).values_list("worker", flat=True))
    if held:
        _freeze(int(chance.choice(held).rsplit("/", 1)[1]), _ZOMBIE_SECONDS)
    return []


def kill_web(stack: Stack, chance: random.Random) -> list[str]:
    send(stack.pid("web"), signal.SIGKILL)
    return []


def kill_valkey(stack: Stack, chance: random.Random) -> list[str]:
    """It comes back empty, or with what it had written, as it likes."""
    send(stack.pid("valkey"), signal.SIGKILL)
    return []


def flush_valkey(stack: Stack, chance: random.Random) -> list[str]:
    with suppress(redis.RedisError):  # it may be down already
        redis.Redis.from_url(stack.run["redis_url"], socket_timeout=1).flushall()
    return []


def stall_valkey(stack: Stack, chance: random.Random) -> list[str]:
    _freeze(stack.pid("valkey"), _STALL_SECONDS)
    return []


def crash_postgres(stack: Stack, chance: random.Random) -> list[str]:
    """An immediate shutdown: every connection is cut, and the server recovers from its log."""
    send(stack.pid("postgres"), signal.SIGQUIT)
    return []


def cut_connections(stack: Stack, chance: random.Random) -> list[str]:
    """Terminate about half of the backends."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND random() < 0.5"
    with (
        suppress(psycopg.Error),  # it may be down already
        psycopg.connect(stack.run["database_url"], autocommit=True, connect_timeout=2) as connection,
    ):
        connection.execute(query)
    return []


#: How often each is chosen. A crash of a server costs seconds for everyone, that of a pool process none.
HURTS: dict[Callable[[Stack, random.Random], list[str]], int] = {
    kill_child: 60,
    kill_worker: 8,
    deploy: 6,
    zombie: 4,
    kill_web: 4,
    kill_valkey: 3,
    flush_valkey: 5,
    stall_valkey: 3,
    crash_postgres: 3,
    cut_connections: 4,
}


def _hit_worker(stack: Stack, chance: random.Random, number: signal.Signals) -> list[str]:
    workers = [pid for name, pid in stack.run["processes"].items() if name.startswith("worker")]
    if not workers:
        return []  # they are being started again
    pid = chance.choice(workers)
    held = Operation.objects.using(ALIAS).filter(state__in=HELD, worker__contains=f"/{pid}/")
    hit = [str(operation) for operation in held.values_list("pk", flat=True)]
    send(pid, number)
    return hit


def _freeze(pid: int, seconds: float) -> None:
    send(pid, signal.SIGSTOP)
    thaw = threading.Timer(seconds, send, (pid, signal.SIGCONT))
    thaw.daemon = True
    thaw.start()


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
