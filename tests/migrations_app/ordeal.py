"""A migration of many rows in real processes that is killed, paused and throttled: each row is changed exactly once.

python -m tests.migrations_app.ordeal --rows 1000000 --kills 20
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ.setdefault("LRO_DATA_DIR", "/tmp/lro-ordeal")
    import django

    django.setup()

from django.db import connections

from lro.models import Operation
from tests.end_to_end.stack import ALIAS, Stack, running
from tests.waiting import until

SIGNAL = "LRO_TEST_THROTTLE"


def ordeal(stack: Stack, signal: Path, *, rows: int, kills: int, seed: int, pause: float = 0) -> Operation:
    """The operation at its end. Raises AssertionError where a row was not changed exactly once."""
    fill(rows)
    answer = stack.client("staff").post("/migrations/run", json={"migration": "probe.count", "pause": pause})
    assert answer.status_code == 200, answer.text
    identifier = answer.json()["id"]
    chance = random.Random(seed)
    for number, percent in enumerate(sorted(chance.uniform(5, 90) for _ in range(kills))):
        if not has_reached(stack, identifier, percent):
            break
        HURTS[number % len(HURTS)](stack, identifier, signal)
    operation = stack.await_end(identifier, within=1_800)
    assert operation.state == "succeeded", operation.error
    assert_changed_once(rows)
    assert operation.result["changed"] == operation.result["processed"] == rows
    return operation


def fill(rows: int) -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("TRUNCATE probe_thing CASCADE")
        cursor.execute("INSERT INTO probe_thing (text, touched) SELECT '', 0 FROM generate_series(1, %s)", [rows])
        cursor.execute("ANALYZE probe_thing")


def assert_changed_once(rows: int) -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT touched, count(*) FROM probe_thing GROUP BY touched")
        assert cursor.fetchall() == [(1, rows)]


def has_reached(stack: Stack, identifier: str, percent: float) -> bool:
    """Whether it came so far and is at work; False where it has ended before."""

    def reached() -> str | None:
        row: Any = stack.ask(lambda: stack.operation(identifier), None)
        if row is None:
            return None
        is_there = row.state == "running" and (row.progress.get("percent") or 0) >= percent
        return row.state if row.is_terminal or is_there else None

    return bool(until(reached, within=900, what=f"{percent:.0f} % of {identifier}", every=0.02) == "running")


def kill(stack: Stack, identifier: str, signal: Path) -> None:
    """What was done before may have killed its process already: then the one that goes on is killed."""
    until(
        lambda: _is_killed(stack, identifier) or stack.state(identifier) == "succeeded", within=120, what="it is killed"
    )


def _is_killed(stack: Stack, identifier: str) -> bool:
    try:
        stack.kill_child(identifier)
    except (ProcessLookupError, IndexError):  # it is gone, or nobody has it at this moment
        return False
    return True


def kill_worker(stack: Stack, identifier: str, signal: Path) -> None:
    stack.kill_worker(identifier)


def pause(stack: Stack, identifier: str, signal: Path) -> None:
    client = stack.client("staff")
    client.post(f"/operations/{identifier}/pause")
    until(lambda: stack.state(identifier) in ("paused", "succeeded"), what="it is paused")
    until(lambda: _goes_on(client, identifier), what="it goes on, as all of its shards are paused")


def _goes_on(client: Any, identifier: str) -> bool:
    answer = client.post(f"/operations/{identifier}/resume")
    return bool(answer.status_code == 200 or client.get(f"/operations/{identifier}").json()["done"])


def throttle(stack: Stack, identifier: str, signal: Path) -> None:
    client = stack.client("staff")  # its token lives for five minutes
    signal.touch()
    events = f"/operations/{identifier}/events/?after=0&limit=500"
    until(lambda: _is_throttled(client, events) or stack.state(identifier) == "succeeded", what="it is throttled")
    signal.unlink()


def _is_throttled(client: Any, address: str) -> bool:
    return any(event["kind"] == "migrations.throttled" for event in client.get(address).json()["results"])


def restart_database(stack: Stack, identifier: str, signal: Path) -> None:
    stack.restart_postgres(identifier)


HURTS = (kill, pause, throttle, kill_worker, restart_database)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    signal = Path(os.environ["LRO_DATA_DIR"]).with_suffix(".throttle")
    with running(**{SIGNAL: str(signal)}) as stack:
        operation = ordeal(stack, signal, rows=options.rows, kills=options.kills, seed=options.seed)
        step = operation.result["steps"][0]
        print(
            f"{options.rows:,} rows, hurt {options.kills} times: each changed exactly once, in {operation.attempt} "
            f"attempts; {step['rate']:,.0f} rows a second at work; transactions {operation.result['transactions']}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
