"""Frames as no client should send them, from a seed: `make fuzz` sends twenty thousand sequences of them."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import sys
from collections import Counter
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

SETTINGS = {"SOCKET_FRAMES_PER_MINUTE": 10_000_000, "MAX_ACTIVE_PER_OWNER": 0}
_SOCKETS = 16
#: What nobody may leave unanswered, or answer with an error of the server's own.
_NEVER = ("server_error",)


class Fuzzer:
    """Makes frames: right ones, nearly right ones and nonsense."""

    def __init__(self, seed: int, operations: list[str], token: str) -> None:
        from lro.transports.messages import KINDS, TYPES

        self._chance, self._operations, self._token = random.Random(seed), operations, token
        self._types, self._names = TYPES, ["request_id", "after", "sequences", "from", "token", *KINDS]

    def sequence(self) -> list[str | bytes]:
        return [self.frame() for _ in range(self._chance.randint(1, 8))]

    def frame(self) -> str | bytes:
        kind = self._chance.random()
        if kind < 0.08:
            return self._chance.randbytes(self._chance.randint(0, 200))
        if kind < 0.16:
            return self._text()
        text = json.dumps(self._body() if kind < 0.9 else self._value(0))
        if self._chance.random() < 0.1 and self._token not in text:
            cut = self._chance.randint(0, len(text))
            text = (
                text[:cut] + self._chance.choice(["", "\0", "}", '"', "\\ud800", "NaN", "[" * 2000]) + text[cut + 1 :]
            )
        return text

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"type": self._chance.choice([*self._types * 3, "nothing", self._value(0)])}
        for name in self._chance.sample(self._names, k=3):
            body[name] = self._right(name) if self._chance.random() < 0.6 else self._value(0)
        if body["type"] == "authenticate" and isinstance(body.get("token"), str):
            body["token"] = self._token  # another one ends the stream, as it must
        return body

    def _right(self, name: str) -> Any:
        if name in ("operation", "root"):
            return self._chance.choice(self._operations)
        rights = {"mine": True, "all": True, "after": self._chance.randint(0, 30), "from": "start"}
        rights |= {"sequences": {self._chance.choice(self._operations): 3}, "token": self._token, "request_id": 7}
        return rights[name]

    def _value(self, depth: int) -> Any:
        simple = [
            None,
            True,
            False,
            0,
            -1,
            2**31,
            2**63,
            10**400,
            -0.5,
            1e308,
            float("nan"),
            float("inf"),
            "",
            "x" * 3000,
        ]
        simple += ["\0", "\ud800", "🦆", "‮", "subscribe", "0198f3c2-0000-7000-8000-000000000001", self._text()]
        roll = self._chance.random()
        if roll < 0.7 or depth > 4:
            return self._chance.choice(simple)
        if roll < 0.85:
            return [self._value(depth + 1) for _ in range(self._chance.randint(0, 4))]
        return {self._text(): self._value(depth + 1) for _ in range(self._chance.randint(0, 4))}

    def _text(self) -> str:
        alphabet = '{}[]":,\\0123456789abc truefalsnu\u2028é🦆'
        return "".join(self._chance.choices(alphabet, k=self._chance.randint(0, 60)))


async def attack(stack: Any, *, sequences: int, seed: int) -> Counter[str]:
    """Send so many sequences; how often each answer came. Raises where a stream ends or an answer is missing."""
    client = stack.client()
    operations = [client.post("/probe/counts", json={"to": 3}).json()["id"] for _ in range(5)]
    operations += [client.post("/probe/fails", json={}).json()["id"]]
    answers: Counter[str] = Counter()
    shares = [len(range(start, sequences, _SOCKETS)) for start in range(_SOCKETS)]
    tasks = [
        _attack(stack, Fuzzer(seed * 1000 + number, operations, stack.token()), share, answers)
        for number, share in enumerate(shares)
    ]
    await asyncio.gather(*tasks)
    return answers


async def _attack(stack: Any, fuzzer: Fuzzer, sequences: int, answers: Counter[str]) -> None:
    address = f"ws://127.0.0.1:{stack.port}/ws/operations/"
    protocols: Any = ["lro.v1", f"bearer.{fuzzer._token}"]
    async with connect(address, subprotocols=protocols, proxy=None, max_size=None) as socket:
        for number in range(sequences):
            frames = fuzzer.sequence()
            for frame in frames:
                await socket.send(frame)
            await _is_alive(socket, number, frames, answers)


async def _is_alive(socket: ClientConnection, number: int, frames: list[str | bytes], answers: Counter[str]) -> None:
    """The stream goes on: it answers a ping after whatever it was sent."""
    mark = f"ping {number}"
    await socket.send(json.dumps({"type": "ping", "request_id": mark}))
    async with asyncio.timeout(60):
        while True:
            frame = json.loads(await socket.recv())
            name = frame["code"] if frame["type"] == "refused" else frame["type"]
            answers[name] += 1
            assert name not in _NEVER, f"{frame} after {str(frames)[-2000:]}"
            if frame["type"] == "pong" and frame.get("request_id") == mark:
                return


def of_the_web(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("web")]


def main(arguments: list[str]) -> int:
    from tests.end_to_end.stack import running

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with running(LRO_TEST_SETTINGS=json.dumps(SETTINGS)) as stack:
        answers = asyncio.run(attack(stack, **vars(options)))
        lines = of_the_web(stack.log.read_text())
    errors = ["\n".join(lines[at : at + 40]) for at, line in enumerate(lines) if "Traceback" in line]
    print(f"{options.sequences:,} sequences on {_SOCKETS} sockets, none ended; answers: {dict(answers.most_common())}")
    print(f"{len(errors)} errors in the server's log", *errors[:20], sep="\n")
    return 1 if errors else 0


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
