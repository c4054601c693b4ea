"""Kill everything, again and again, while operations run, and count what was lost or done twice: `make chaos`.

Rounds of a hundred kills, each on a fresh system and from a seed of its own; what a round found is a line in the
results file, and a run that is stopped goes on with the next round. Inspired by the hourly job of DBOS, which restarts
PostgreSQL under twenty thousand workflows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from django.db import DatabaseError, InterfaceError, connections

SETTINGS = {
    "LEASE_SECONDS": 4.0,
    "HEARTBEAT_SECONDS": 0.5,
    "SELF_FENCE_SECONDS": 2.5,
    "RECONCILE_SECONDS": 2.0,
    "RETRY_BASE_SECONDS": 0.1,
    "MAX_ATTEMPTS": 60,
    "MAX_CRASHES": 60,
}


#: Long enough for what is open at the end on a busy machine; `drained_seconds` of the results tells how long it was.
_DRAIN_SECONDS = 1800.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--kills", type=int, default=100, help="in each round")
    parser.add_argument("--operations", type=int, default=5000, help="in each round")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=10.0, help="requests in a second, at most")
    parser.add_argument("--pause", type=float, default=1.2, help="seconds between two hurts, on average")
    parser.add_argument("--only", nargs="*", metavar="HURT", help="such as kill_child; else all")
    parser.add_argument("--bare", action="store_true", help="hurt bare Celery with its reliability flags instead")
    parser.add_argument("--results", type=Path, default=Path("chaos-results.jsonl"))
    options = parser.parse_args(arguments)
    done = read(options.results)
    for seed in range(options.seed, options.seed + options.rounds):
        if any(line["seed"] == seed for line in done):
            continue
        line = _round(seed, options)
        done.append(line)
        with options.results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(table(done), flush=True)
    return 0 if not sum(line["lost"] + line["doubled"] + len(line["broken"]) for line in done) else 1


def _round(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    limits = {"kills": options.kills, "operations": options.operations, "pause": options.pause}
    if options.bare:
        from tests.chaos import bare

        return bare.one_round(seed, **limits)
    return one_round(seed, only=options.only, per_second=options.rate, **limits)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def one_round(
    seed: int,
    *,
    kills: int,
    operations: int,
    only: Sequence[str] | None = None,
    per_second: float = 10,
    pause: float = 1.2,
) -> dict[str, Any]:
    """Hurt a fresh system `kills` times while it works off `operations`; what was found."""
    from tests.chaos.hurts import HURTS
    from tests.chaos.load import Load
    from tests.end_to_end.stack import running

    chance = random.Random(seed)
    hurts = {hurt: weight for hurt, weight in HURTS.items() if not only or hurt.__name__ in only}
    workers = ("--workers", "2", "--concurrency", "2")
    with running(*workers, LRO_TEST_SETTINGS=json.dumps(SETTINGS)) as stack:
        load = Load(stack, seed, operations, per_second=per_second)
        load.start()
        facts, hits = hurt_while(load, stack, chance, hurts, kills=kills, pause=pause)
        drained = await_drained(stack, within=_DRAIN_SECONDS)
        return {"seed": seed, **facts, "drained_seconds": round(drained, 1), **verdict(stack, load.accepted, hits)}


def hurt_while(
    load: Any, stack: Any, chance: random.Random, hurts: dict[Any, int], *, kills: int, pause: float
) -> tuple[dict[str, Any], list[tuple[float, str]]]:
    """Hurt the system while the load lasts, and at least so often; the facts, and what was hit when."""
    hits: list[tuple[float, str]] = []
    names: Counter[str] = Counter()
    began = time.monotonic()
    while sum(names.values()) < kills or load.is_alive():
        hurt = chance.choices(list(hurts), list(hurts.values()))[0]
        with _patience():
            hits += [(time.time(), operation) for operation in hurt(stack, chance)]
            names[hurt.__name__] += 1
        time.sleep(chance.expovariate(1 / pause))
    assert not load.problem, load.problem
    seconds = round(time.monotonic() - began, 1)
    return {"kills": sum(names.values()), "by": dict(names), "seconds": seconds}, hits


@contextmanager
def _patience() -> Iterator[None]:
    """The harness asks the same database that it kills."""
    from tests.end_to_end.stack import ALIAS

    try:
        yield
    except (DatabaseError, InterfaceError, OSError, KeyError):
        connections[ALIAS].close()


def await_drained(stack: Any, within: float = 180) -> float:
    """Wait until nothing is to be done any more; the seconds that it took. Raises AssertionError."""
    from lro.models import Operation, Resource
    from tests.end_to_end.stack import ALIAS
    from tests.waiting import until

    began = time.monotonic()

    def is_there_none(rows: Any) -> bool:
        return bool(stack.ask(lambda: not rows.exists(), False))

    def await_none(rows: Any) -> None:
        what = f"all is done\n{stack.log.read_text()[-4000:]}"
        until(lambda: is_there_none(rows.all()), within=within, every=0.2, what=what)

    await_none(Operation.objects.using(ALIAS).active())
    seconds = time.monotonic() - began
    await_none(Resource.objects.using(ALIAS).over())
    return seconds


def verdict(stack: Any, accepted: list[Any], hits: list[tuple[float, str]]) -> dict[str, Any]:
    from lro.models import Attempt, Operation
    from lro.testing import violations_of
    from tests.chaos.load import ITEMS
    from tests.end_to_end.stack import ALIAS

    rows = {str(row.pk): row for row in Operation.objects.using(ALIAS)}
    lost = [one.id for one in accepted if one.id not in rows or rows[one.id].state != "succeeded"]
    saved = [row for row in rows.values() if row.name == "probe.saves"]
    wrong = [row.pk for row in saved if row.rejects.using(ALIAS).count() != ITEMS]
    twice = len(accepted) - len({one.id for one in accepted})
    attempts = Attempt.objects.using(ALIAS)
    return {
        "operations": len(rows),
        "attempts": attempts.count(),
        "lost": len(lost),
        "doubled": len(wrong) + twice,
        "broken": list(violations_of(ALIAS, is_drained=True, files=stack.files))[:20],
        "recovery": sorted(recovery(hits)),
    }


def recovery(hits: list[tuple[float, str]]) -> Iterator[float]:
    """Seconds from each kill of a process until what it held was at work again."""
    from lro.models import Attempt
    from tests.end_to_end.stack import ALIAS

    for killed_at, operation in hits:
        moment = datetime.fromtimestamp(killed_at).astimezone()
        attempts = Attempt.objects.using(ALIAS).filter(operation_id=operation)
        if not attempts.filter(started_at__lt=moment, finished_at__gt=moment, outcome="lost").exists():
            continue  # it had just ended by itself
        again = attempts.filter(started_at__gt=moment).order_by("started_at").first()
        if again is not None:
            yield round((again.started_at - moment).total_seconds(), 3)


def table(lines: list[dict[str, Any]]) -> str:
    times = sorted(value for line in lines for value in line["recovery"]) or [0.0]
    total = {key: sum(line[key] for line in lines) for key in ("kills", "operations", "attempts", "lost", "doubled")}
    broken = sum(len(line["broken"]) for line in lines)
    by = sum((Counter(line["by"]) for line in lines), Counter[str]())
    return (
        "\n| rounds | kills | operations | attempts | lost | doubled | invariants broken | recovery p50 / p99 / max |\n"
        "|---|---|---|---|---|---|---|---|\n"
        f"| {len(lines)} | {total['kills']:,} | {total['operations']:,} | {total['attempts']:,} | {total['lost']} "
        f"| {total['doubled']} | {broken} | {median(times):.2f} s / {times[int(len(times) * 0.99)]:.2f} s "
        f"/ {times[-1]:.2f} s |\n\n" + ", ".join(f"{name} {count}" for name, count in by.most_common())
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
