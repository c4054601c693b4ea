"""What the client wants done, as values: the steps that ask are written once, and each driver does them its own way.

A function of type `Steps` is a generator that yields effects, is sent their answers, and has their errors thrown into
it; the sync and the async driver differ only in how they do an effect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from .bodies import Destination, Upload
from .errors import ClientError, InvalidAnswer

Returned = TypeVar("Returned")


@dataclass(frozen=True, slots=True)
class Send:
    """One HTTP request: answered with an `Answer`. Raises `Unreachable`, and `InvalidAnswer` for one too large."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, Any] | None = None
    files: Mapping[str, Upload] = field(default_factory=dict)
    destination: Destination | None = None
    seconds: float = 30.0

    def with_headers(self, **headers: str) -> Send:
        return replace(self, headers={**self.headers, **headers})


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    tries: int = 1

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise InvalidAnswer(f"The server answered {self.status} with what is not JSON.") from None


@dataclass(frozen=True, slots=True)
class Renew:
    """Renew the tokens unless `stale` is no longer the one that is held: answered with an access token."""

    stale: str
    seconds: float = float("inf")


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Open:
    """Open this stream's socket. Raises `Lost`."""

    token: str
    seconds: float = 8.0


@dataclass(frozen=True, slots=True)
class Say:
    """Send a frame. Raises `Lost`."""

    frame: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait for a frame: answered with its text, or None after `seconds`. Raises `Lost`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close this stream's socket, if there is one."""


@dataclass(frozen=True, slots=True)
class Give:
    """Give a value to the caller, who iterates."""

    value: Any


Effect = Send | Renew | Sleep | Open | Say | Hear | Close | Give
Steps = Generator[Effect, Any, Returned]


class Lost(ClientError):
    """The socket is gone; `code` is that of the close frame, 1006 where there was none."""

    def __init__(self, code: int = 1006) -> None:
        super().__init__(f"The socket was closed with code {code}.")
        self.code = code


class Walk(Generic[Returned]):
    """Steps on their way: the next effect, each time after the answer or the error of the one before."""

    result: Returned

    def __init__(self, steps: Steps[Returned]) -> None:
        self._steps = steps
        self._answer: Any = None
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[Effect]:
        return self

    def __next__(self) -> Effect:
        answer, error, self._answer, self._error = self._answer, self._error, None, None
        try:
            return self._steps.throw(error) if error else self._steps.send(answer)
        except StopIteration as end:
            self.result = end.value
            raise

    def answer(self, answer: Any) -> None:
        self._answer = answer

    def fail(self, error: Exception) -> None:
        self._error = error


def within(steps: Steps[Returned], seconds: float | None, clock: Callable[[], float]) -> Steps[Returned]:
    """The same steps, none of which waits beyond `seconds` from now. Raises `TimeoutError` then."""
    if seconds is None:
        return (yield from steps)
    deadline, walk = clock() + seconds, Walk(steps)
    for effect in walk:
        try:
            walk.answer((yield _bounded(effect, deadline - clock(), seconds)))
        except Exception as error:
            walk.fail(error)
    return walk.result


def _bounded(effect: Effect, left: float, seconds: float) -> Effect:
    if isinstance(effect, Say | Close | Give):
        return effect
    if left <= 0:
        raise TimeoutError(f"It did not end within {seconds:g} seconds.")
    return replace(effect, seconds=min(effect.seconds, left))
