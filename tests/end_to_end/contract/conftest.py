from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from lro.models import Event
from tests.end_to_end.contract.transports import Transport
from tests.end_to_end.stack import ALIAS, Stack, running
from tests.waiting import until

_SETTINGS = {"REVIEW_SECONDS": 1, "SOCKET_FRAMES_PER_MINUTE": 100_000}


@pytest.fixture(scope="package")
def stack(django_db_blocker: Any) -> Iterator[Stack]:
    """The whole system, which asks anew every second what its followers may."""
    with django_db_blocker.unblock(), running(LRO_TEST_SETTINGS=json.dumps(_SETTINGS)) as stack:
        for name in ("other", "auditor"):
            stack.add_user(name)
        yield stack


def post(stack: Stack, path: str, username: str = "demo", **data: Any) -> dict[str, Any]:
    """Start an operation."""
    headers = {"Authorization": f"Bearer {stack.brief_token(600, username)}"}
    answer = httpx.post(f"{stack.url}{path}", json=data, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class Chatter:
    """An operation that says things; each time that it holds it stops until it is told to `go_on`."""

    def __init__(self, stack: Stack, gate: Path, *, holds_at: Sequence[int] = (), **data: Any) -> None:
        self._stack, self._gate, self._holds_at = stack, gate, list(holds_at)
        self.id = str(post(stack, "/probe/chatters", gate=str(gate), holds_at=self._holds_at, **data)["id"])
        self.await_hold()

    def await_hold(self) -> None:
        if self._holds_at:
            said = Event.objects.using(ALIAS).filter(operation_id=self.id, kind__in=["log", "partial"])
            until(lambda: said.count() == self._holds_at[0], what=f"{self._holds_at[0]} things are said", every=0.02)

    @property
    def last(self) -> int:
        return self._stack.operation(self.id).last_sequence

    def go_on(self) -> None:
        """To where it holds next, or to the end."""
        if self._holds_at:
            Path(f"{self._gate}-{self._holds_at.pop(0)}").touch()

    def await_end(self) -> Any:
        while self._holds_at:
            self.go_on()
        return self._stack.await_end(self.id)


@pytest.fixture
def chatter(drained: Stack, tmp_path: Path) -> Iterator[Callable[..., Chatter]]:
    begun: list[Chatter] = []

    def begin(**data: Any) -> Chatter:
        begun.append(Chatter(drained, tmp_path / f"gate-{len(begun)}", **data))
        return begun[-1]

    yield begin
    for chatter in begun:
        chatter.await_end()


@pytest.fixture
def follow(drained: Stack) -> Iterator[Callable[..., Any]]:
    """Begin to follow over a transport."""
    begun: list[Any] = []

    def begin(transport: Transport, *args: Any, **options: Any) -> Any:
        begun.append(transport.follower(drained, *args, **options))
        begun[-1].start()
        return begun[-1]

    yield begin
    for follower in begun:
        follower.stop()
