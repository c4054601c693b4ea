"""Operations that keep coming while the system is hurt, and what each must have come to in the end."""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
from django.db import connections

from lro.models import Operation
from tests.end_to_end.stack import ALIAS, Stack
from tests.waiting import until

ITEMS = 2
_SAVES = {"to": ITEMS, "seconds_each": 0.005}
#: What is submitted, and how often.
KINDS = {"saves": 40, "splits": 35, "flaky": 15, "counts": 10}
_CHILDREN = ["probe.saves", "probe.counts", "probe.counts"]
#: No more is submitted while so many wait or run.
_OPEN_AT_ONCE = 200


@dataclass(frozen=True)
class Accepted:
    """An operation that the system said it has."""

    id: str
    name: str
    at: float


class Load(threading.Thread):
    """Submits until `count` operations are made, children included; asks again when it is cut off."""

    def __init__(
        self, stack: Stack, seed: int, count: int, *, per_second: float, kinds: dict[str, int] = KINDS
    ) -> None:
        super().__init__(name="load", daemon=True)
        self.accepted: list[Accepted] = []
        self.problem = ""
        self._made = 0
        self._stack, self._chance, self._count = stack, random.Random(seed), count
        self._pause, self._kinds = 1 / per_second, kinds
        self._client = stack.client()

    def run(self) -> None:
        try:
            due = time.monotonic()
            while self._made < self._count:
                name, data = self._next()
                self.accepted.append(self._submit(name, data))
                self._made += 1 + len(data.get("inputs", ()))
                due = max(due + self._pause, time.monotonic() - 1)
                time.sleep(max(0.0, due - time.monotonic()))
                until(self._has_room, within=1800, every=0.2, what="the system works off what it has")
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"
            raise
        finally:
            connections[ALIAS].close()

    def _has_room(self) -> bool:
        active = Operation.objects.using(ALIAS).active()
        return bool(self._stack.ask(lambda: active.count() < _OPEN_AT_ONCE, False))

    def _next(self) -> tuple[str, dict[str, Any]]:
        name = self._chance.choices(list(self._kinds), list(self._kinds.values()))[0]
        data: dict[str, dict[str, Any]] = {
            "saves": _SAVES,
            "splits": {"child": self._chance.choice(_CHILDREN), "inputs": [_SAVES] * 40},
            "flaky": {"succeeds_at": 2, "after": 0.1},
            "counts": {"to": 20},
        }
        return f"probe.{name}", data[name]

    def _submit(self, name: str, data: dict[str, Any]) -> Accepted:
        """Until it is accepted: the key makes sure that it is made once, whichever answer got lost."""
        key = str(uuid.UUID(int=self._chance.getrandbits(128)))
        path = f"/{name.replace('.', '/')}"
        while True:
            try:
                answer = self._client.post(path, json=data, headers={"Idempotency-Key": key}, timeout=10)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 401:
                self._client = self._stack.client()
            elif answer.status_code >= 500:
                time.sleep(0.05)
            else:
                answer.raise_for_status()
                return Accepted(answer.json()["id"], name, time.time())
