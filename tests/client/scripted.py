"""Does what the steps ask for out of a script, with a clock that moves only when somebody waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from lro.client.calls import Calls
from lro.client.effects import Answer, Give, Hear, Lost, Open, Renew, Say, Send, Sleep, Steps, Walk
from lro.client.tokens import TokenKeeper

READY = {"type": "ready", "user": "demo", "expires_at": None}
Rest = Callable[[Send], Answer]


def answer(body: Any = None, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, b"" if body is None else json.dumps(body).encode())


class Script:
    """`sockets` are tried in turn: each is how opening it fails, or what is heard on it, before silence.

    What is heard is a frame, the loss of the socket, or a call that answers with either.
    """

    def __init__(self, *sockets: Any, rest: Rest | None = None, keeper: dict[str, Any] | None = None) -> None:
        self.now = 1000.0
        self.seconds_to_take = 0.0
        self.sockets = list(sockets)
        self.heard: list[Any] = []
        self.said: list[dict[str, Any]] = []
        self.sent: list[Send] = []
        self.slept: list[float] = []
        self.tokens: list[str] = []
        self._rest = rest or (lambda call: answer(status=404))
        tokens = TokenKeeper(clock=self.clock, **(keeper or {"token": "first", "refresh": "once"}))
        self.calls = Calls(tokens, clock=self.clock, random=lambda: 1.0)

    def clock(self) -> float:
        return self.now

    def play(self, steps: Steps[Any]) -> list[Any]:
        """What the steps give."""
        given: list[Any] = []
        self.result = self._walk(steps, given)
        return given

    def run(self, steps: Steps[Any]) -> Any:
        """What the steps return."""
        return self._walk(steps, [])

    def _walk(self, steps: Steps[Any], given: list[Any]) -> Any:
        walk = Walk(steps)
        for effect in walk:
            try:
                walk.answer(self._take(given, effect.value) if isinstance(effect, Give) else self._do(effect))
            except Exception as error:
                walk.fail(error)
        return walk.result

    def _take(self, given: list[Any], value: Any) -> None:
        given.append(value)
        self.now += self.seconds_to_take

    def _do(self, effect: Any) -> Any:
        match effect:
            case Send():
                self.sent.append(effect)
                return self._rest(effect)
            case Renew():
                return self.run(self.calls.renew(effect.stale))
            case Sleep():
                self.slept.append(effect.seconds)
                self.now += effect.seconds
            case Open():
                self._open(effect.token)
            case Say():
                self.said.append(dict(effect.frame))
            case Hear():
                return self._hear(effect.seconds)
        return None

    def _open(self, token: str) -> None:
        self.tokens.append(token)
        heard = self.sockets.pop(0)
        if isinstance(heard, Exception):
            raise heard
        self.heard = list(heard)

    def _hear(self, seconds: float) -> str | None:
        if not self.heard:
            self.now += seconds
            return None
        frame = self.heard.pop(0)
        frame = frame() if callable(frame) else frame
        if isinstance(frame, Lost):
            raise frame
        return None if frame is None else json.dumps(frame)


def in_turn(answers: Iterable[Any]) -> Rest:
    """A server that gives these answers, whatever it is asked; an error is raised."""
    left = iter(answers)

    def rest(call: Send) -> Answer:
        given = next(left)
        if isinstance(given, Exception):
            raise given
        return given  # type: ignore[no-any-return]

    return rest
