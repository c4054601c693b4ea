"""Operations that keep coming while the system is hurt, and what each must have come to in the end."""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from tests.end_to_end.stack import Stack

ITEMS = 5
_SAVES = {"to": ITEMS, "seconds_each": 0.01}


@dataclass(frozen=True)
class Accepted:
    """An operation that the system said it has."""

    id: str
    name: str
    at: float


class Load(threading.Thread):
    """Submits `count` operations, at most `open_at_once` ahead of what has been done; asks again when it is cut off."""

    def __init__(self, stack: Stack, seed: int, count: int, *, per_second: float) -> None:
        super().__init__(name="load", daemon=True)
        self.accepted: list[Accepted] = []
        self.problem = ""
        self._stack, self._chance, self._count = stack, random.Random(seed), count
        self._pause = 1 / per_second
        self._client = stack.client()

    @property
    def is_done(self) -> bool:
        return len(self.accepted) == self._count

    def run(self) -> None:
        try:
            due = time.monotonic()
            while not self.is_done:
                self.accepted.append(self._submit(*self._next()))
                due = max(due + self._pause, time.monotonic() - 1)
                time.sleep(max(0.0, due - time.monotonic()))
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"
            raise

    def _next(self) -> tuple[str, dict[str, Any]]:
        name = self._chance.choices(["saves", "splits", "flaky", "counts"], [84, 3, 5, 8])[0]
        data: dict[str, dict[str, Any]] = {
            "saves": _SAVES,
            "splits": {"child": "probe.saves", "inputs": [_SAVES] * 4},
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
