"""The same hurts on bare Celery, with its reliability flags on: the row that stands beside ours."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from celery import Celery
from django.conf import settings

from config import data_directory
from tests.chaos import hurts
from tests.chaos.load import ITEMS
from tests.chaos.run import hurt_while
from tests.end_to_end.stack import ALIAS, Stack, running
from tests.probe.models import Mark
from tests.waiting import until

#: After so long a message that was not acknowledged is given to another worker.
VISIBILITY_SECONDS = 20
ENVIRONMENT = {"LRO_TEST_VISIBILITY_SECONDS": str(VISIBILITY_SECONDS)}


def one_round(seed: int, *, kills: int, operations: int, pause: float = 1.2) -> dict[str, Any]:
    chance = random.Random(seed)
    kinds = {hurt: weight for hurt, weight in hurts.HURTS.items() if hurt not in (hurts.kill_web, hurts.zombie)}
    kinds[kill_child] = kinds.pop(hurts.kill_child)
    with running("--workers", "2", "--concurrency", "2", **ENVIRONMENT) as stack:
        load = Load(stack, seed, operations)
        load.start()
        facts, _ = hurt_while(load, stack, chance, kinds, kills=kills, pause=pause)
        drained = await_rest(stack)
        items = Mark.objects.using(ALIAS).values_list("item", flat=True)
        found = Counter(item.split()[0] for item in set(items))
        again = Counter(item.split()[0] for item in items.iterator())
        return {
            "seed": seed,
            **facts,
            "drained_seconds": round(drained, 1),
            "operations": len(load.accepted),
            "attempts": 0,
            "lost": sum(found[task] < ITEMS for task in load.accepted),
            "doubled": sum(again[task] > found[task] for task in load.accepted),
            "broken": [],
            "recovery": [],
        }


class Load(threading.Thread):
    """Sends tasks, and counts those of which the broker said that it has them."""

    def __init__(self, stack: Stack, seed: int, count: int) -> None:
        super().__init__(name="load", daemon=True)
        self.accepted: list[str] = []
        self.problem = ""
        self._stack, self._chance, self._count = stack, random.Random(seed), count
        self._app = Celery(broker=data_directory.broker_url(stack.run["redis_url"]))
        self._app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS

    def run(self) -> None:
        while len(self.accepted) < self._count:
            task = str(uuid.UUID(int=self._chance.getrandbits(128)))
            data = {"task": task, "to": ITEMS, "seconds_each": 0.005}
            try:
                self._app.send_task("bare.saves", kwargs=data, queue="default", retry=False)
            except Exception:
                time.sleep(0.05)  # refused: whoever asked knows that it was not accepted
                continue
            self.accepted.append(task)
            time.sleep(0.05)


def kill_child(stack: Stack, chance: random.Random) -> list[str]:
    workers = [pid for name, pid in stack.run["processes"].items() if name.startswith("worker")]
    children = [int(pid) for worker in workers for pid in _children(worker)]
    if children:
        os.kill(chance.choice(children), signal.SIGKILL)
    return []


def _children(pid: int) -> list[str]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return path.read_text().split() if path.exists() else []


def await_rest(stack: Stack) -> float:
    """Until nothing has changed for twice the time after which the broker would give a message again."""
    began = time.monotonic()
    last: dict[str, Any] = {"count": -1, "since": began}

    def is_still() -> bool:
        count = stack.ask(lambda: Mark.objects.using(ALIAS).count(), -1)
        if count != last["count"]:
            last.update(count=count, since=time.monotonic())
        return time.monotonic() - last["since"] > 2 * VISIBILITY_SECONDS + 20

    until(is_still, within=600, every=1, what="the tasks come to rest")
    return time.monotonic() - began
