"""Over which transports the contract is tested, and what a follower of each can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.transports import (
    EventStreamFollower,
    LongPollFollower,
    PagingFollower,
    SocketIOFollower,
    WebSocketFollower,
)

#: It can cut its connection, it can stop to read, it is pushed what is new, it can be given a token, and it can
#: follow many targets on one connection.
CUT, PAUSE, PUSHED, TOKEN, TARGETS = "cut", "pause", "pushed", "token", "targets"


@dataclass(frozen=True)
class Transport:
    name: str
    follower: Callable[..., Any]
    can: frozenset[str] = frozenset()


TRANSPORTS = [
    Transport("websocket", WebSocketFollower, frozenset({CUT, PAUSE, PUSHED, TOKEN, TARGETS})),
    Transport("socketio", SocketIOFollower, frozenset({CUT, PAUSE, PUSHED, TOKEN, TARGETS})),
    Transport("server-sent events", EventStreamFollower, frozenset({CUT, PAUSE, PUSHED, TOKEN})),
    Transport("long-poll", LongPollFollower, frozenset({CUT, TOKEN})),
    Transport("paging", PagingFollower, frozenset({CUT, TOKEN})),
]


def those_that(*can: str) -> list[Transport]:
    return [transport for transport in TRANSPORTS if transport.can.issuperset(can)]


def over(*can: str) -> pytest.MarkDecorator:
    """Run the test over each transport whose followers can do all this."""
    return pytest.mark.parametrize("transport", those_that(*can), ids=lambda transport: transport.name)
