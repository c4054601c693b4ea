"""How soon what was killed is at work again, and what was cancelled is gone: `make reaction`.

Each is done again and again to an operation in the middle of its work, on the whole system as real processes; the
times are the database's. Besides kills that the same machine can see, a machine is lost: a worker with all of its
processes stands still, so that nothing but its lease tells.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

LEASE_SECONDS = 10.0
GRACE_SECONDS = 3.0
SETTINGS = {"LEASE_SECONDS": LEASE_SECONDS, "HEARTBEAT_SECONDS": 1.0, "CANCEL_GRACE_SECONDS": GRACE_SECONDS}
_WORK = {"to": 100_000, "seconds_each": 0.05}


def main(arguments: list[str]) -> int:
    from tests.end_to_end.stack import running

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="how often each is done")
    parser.add_argument("--only", default="", help="a word of the rows that are wanted, such as cancel; else all")
    parser.add_argument("--children", type=int, default=10_000, help="of the one parent at the end; 0 for none")
    options = parser.parse_args(arguments)
    is_prompt = True
    logging.getLogger("httpx").setLevel(logging.WARNING)
    print("| | times | p50 | p99 | max | promised |\n|---|---|---|---|---|---|", flush=True)
    with running("--workers", "2", LRO_TEST_SETTINGS=json.dumps(SETTINGS)) as stack:
        for what, (measure, promised) in REACTIONS.items():
            if options.only not in what:
                continue
            seconds = sorted(measure(stack) for _ in range(options.times))
            p99 = seconds[int(len(seconds) * 0.99)]
            print(
                f"| {what} | {len(seconds)} | {median(seconds):.2f} s | {p99:.2f} s | {seconds[-1]:.2f} s "
                f"| under {promised:.0f} s |",
                flush=True,
            )
            is_prompt = is_prompt and p99 < promised
        if options.children:
            seconds = crowd(stack, options.children)
            print(f"\n{options.children:,} children of one parent, two processes and a worker killed: {seconds:.0f} s")
    return 0 if is_prompt else 1


def crowd(stack: Any, children: int) -> float:
    """Seconds until a parent of so many children has joined them all, though workers are killed meanwhile."""
    from lro.testing import assert_consistent
    from tests.end_to_end.stack import ALIAS

    client, began = stack.client(), time.time()
    identifier = client.post("/probe/crowds", json={"children": children}).json()["id"]
    for share, hit in ((0.2, _kill_process), (0.4, _kill_worker), (0.6, _kill_process)):
        _until(lambda share=share: _done(stack, identifier) > share * children, f"{share:.0%} of the children ended")
        at_work = stack.operation(identifier).children.using(ALIAS).exclude(worker="").values_list("worker", flat=True)
        held = _until(lambda rows=at_work: stack.ask(rows.first, None), "a child is at work")
        hit(stack, *map(int, held.rsplit("/", 2)[1:]))
    operation = stack.await_end(identifier, within=3600)
    assert operation.result == {"counted": children}
    _until(lambda: _is_whole(stack), "all workers are there again")
    assert_consistent(ALIAS, is_drained=True, files=stack.files)
    return float(operation.finished_at.timestamp() - began)


def _done(stack: Any, identifier: str) -> int:
    row = stack.ask(lambda: stack.operation(identifier), None)
    return row.children_total - row.children_pending if row else 0


def recovery(hit: Callable[[Any, int, int], None]) -> Callable[[Any], float]:
    """Seconds from a hit until the operation is at work again; `hit` gets the worker's and the pool's process."""

    def measure(stack: Any) -> float:
        identifier, worker, process = _at_work(stack, "probe.saves", _WORK)
        began = time.time()
        hit(stack, worker, process)
        again = _until(lambda: stack.ask(lambda: _attempt_after(stack, identifier, began), None), "it goes on")
        if _is_frozen(worker):
            for pid in (*_children(worker), worker):
                _send(pid, signal.SIGKILL)
        stack.client().post(f"/operations/{identifier}/cancel")
        stack.await_end(identifier)
        _until(lambda: _is_whole(stack), "all workers are there again")
        return float(again.timestamp() - began)

    return measure


def cancellation(name: str, data: dict[str, Any], *, is_killed: bool) -> Callable[[Any], float]:
    """Seconds from the request to cancel until the operation has ended, and its process where it never listens."""

    def measure(stack: Any) -> float:
        from lro.lifecycle import leases

        identifier, worker, process = _at_work(stack, name, data)
        client, began = stack.client(), time.time()
        client.post(f"/operations/{identifier}/cancel").raise_for_status()
        operation = stack.await_end(identifier)
        gone = operation.finished_at.timestamp()
        if is_killed:
            _until(lambda: not leases.is_alive(process), "its process is gone")
            gone = time.time()
        assert operation.state == "cancelled"
        assert leases.is_alive(worker), "the worker lives on"
        assert leases.is_alive(process) != is_killed
        return float(gone - began)

    return measure


def _kill_process(stack: Any, worker: int, process: int) -> None:
    _send(process, signal.SIGKILL)


def _kill_worker(stack: Any, worker: int, process: int) -> None:
    _send(worker, signal.SIGKILL)


def _lose_machine(stack: Any, worker: int, process: int) -> None:
    for pid in (worker, *_children(worker)):
        _send(pid, signal.SIGSTOP)


REACTIONS: dict[str, tuple[Callable[[Any], float], float]] = {
    "SIGKILL of a pool process: at work again": (recovery(_kill_process), 3),
    "SIGKILL of a whole worker: at work again": (recovery(_kill_worker), LEASE_SECONDS + 5),
    f"a machine lost, lease {LEASE_SECONDS:.0f} s: at work again": (recovery(_lose_machine), LEASE_SECONDS + 5),
    "cancel of what iterates: noticed": (cancellation("probe.counts", _WORK, is_killed=False), 2),
    f"cancel of what never listens, grace {GRACE_SECONDS:.0f} s: gone": (
        cancellation("probe.deaf", {"seconds": 300}, is_killed=True),
        GRACE_SECONDS + 2,
    ),
}


def _at_work(stack: Any, name: str, data: dict[str, Any]) -> tuple[str, int, int]:
    """The id of a new operation, and the processes of the worker and of the pool that run it."""
    answer = stack.client().post(f"/{name.replace('.', '/')}", json=data)
    answer.raise_for_status()
    identifier = str(answer.json()["id"])
    _until(lambda: stack.state(identifier) == "running", "it runs")
    worker, process = stack.operation(identifier).worker.rsplit("/", 2)[1:]
    return identifier, int(worker), int(process)


def _is_frozen(pid: int) -> bool:
    try:
        return "T" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def _is_whole(stack: Any) -> bool:
    """Whether each worker has its processes."""
    workers = [pid for name, pid in stack.run["processes"].items() if name.startswith("worker")]
    return len(workers) == 2 and all(len(_children(pid)) >= 2 for pid in workers)


def _attempt_after(stack: Any, identifier: str, moment: float) -> datetime | None:
    from tests.end_to_end.stack import ALIAS

    began = datetime.fromtimestamp(moment).astimezone()
    attempts = stack.operation(identifier).attempts.using(ALIAS).filter(started_at__gt=began)
    return attempts.order_by("started_at").values_list("started_at", flat=True).first()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _send(pid: int, number: signal.Signals) -> None:
    from tests.chaos.hurts import send

    send(pid, number)


def _until(condition: Callable[[], Any], what: str) -> Any:
    from tests.waiting import until

    return until(condition, within=600, every=0.02, what=what)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
