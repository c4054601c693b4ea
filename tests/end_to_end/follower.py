"""A client that follows operations and comes back whenever it is thrown out, and what it must have heard in the end."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Collection, Iterable
from contextlib import suppress
from http.client import HTTPException
from typing import Any

import httpx
from websockets.exceptions import WebSocketException

from lro.models import Event
from tests.end_to_end.stack import ALIAS, Stack
from tests.waiting import until

ENDINGS = frozenset({"succeeded", "failed", "cancelled", "expired"})


class Cut(Exception):
    """The follower cuts its own connection, as it was asked to."""


class Follower(threading.Thread):
    """Keeps every event in `log` as it was told, repeats included, and all else that it is told in `frames`.

    Each transport says in `_follow` how one connection goes. `cuts` are the sequences after which the follower cuts
    it, and `buffer` is the size of its receive buffer: a small one lets the server feel at once that nobody reads.
    """

    def __init__(
        self,
        stack: Stack,
        operation: str = "",
        after: int = 0,
        *,
        token: str = "",
        cuts: Iterable[int] = (),
        buffer: int = 0,
        others: Collection[str] = (),
    ) -> None:
        super().__init__(daemon=True)
        self.log: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.connections = 0
        self.problem = ""
        self.after = after
        self._stack, self._operation, self._buffer = stack, operation, buffer
        self._token = token or stack.brief_token(600)
        self._cuts = set(cuts)
        self._open = {*others, operation} - {""}
        self._is_over = False
        self._socket: socket.socket | None = None
        self._stopping, self._reading = threading.Event(), threading.Event()
        self._reading.set()

    @property
    def is_done(self) -> bool:
        """All that it waits for has ended."""
        return not self._open

    def named(self, type: str) -> list[dict[str, Any]]:
        return [frame for frame in list(self.frames) if frame["type"] == type]

    def run(self) -> None:
        while not (self.is_done or self._is_over or self._stopping.is_set()):
            try:
                self._follow()
            except (OSError, HTTPException, WebSocketException, Cut):
                self._stopping.wait(0.05)
            except Exception as error:
                self.problem = f"{type(error).__name__}: {error}"
                return
            finally:
                self._close()

    def stop(self) -> None:
        self._stopping.set()
        self.resume_reading()
        self.drop()
        self.join(timeout=60)

    def drop(self) -> None:
        """Cut the connection now."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def pause_reading(self) -> None:
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    def renew(self, token: str) -> None:
        self._token = token

    # For the transports

    @property
    def _last(self) -> int:
        return int(self.log[-1]["sequence"]) if self.log else self.after

    def _follow(self) -> None:
        """Connect, go on after `_last`, and hear what comes until the connection or the operation is over."""
        raise NotImplementedError

    def _connect(self) -> socket.socket:
        self._socket = socket.socket()
        if self._buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", self._stack.port))
        self.connections += 1
        return self._socket

    def _close(self) -> None:
        self.drop()
        if self._socket is not None:
            self._socket.close()

    def _is_listening(self) -> bool:
        """Whether to read on; while it is paused it is not answered."""
        self._reading.wait()
        return not (self.is_done or self._is_over or self._stopping.is_set())

    def _hear(self, event: dict[str, Any], merged: int = 0) -> None:
        self.log.append({**event, "merged": merged} if merged else event)
        if event["kind"] in ENDINGS:
            self._open.discard(event["operation"])
        if event["sequence"] in self._cuts:
            self._cuts.discard(event["sequence"])
            raise Cut

    def _told(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        if frame["type"] == "gap":
            self._fill(frame)

    def _fill(self, gap: dict[str, Any]) -> None:
        """Read what the server left out, as every client may."""
        after, last = gap["after"], gap["sequence"]
        while after < last:
            for event in page(self._stack, self._token, gap["operation"], after)["results"]:
                if event["sequence"] <= last:
                    self._hear(event)
                after = event["sequence"]

    def _end(self, **why: Any) -> None:
        """There is nothing to come back for."""
        self._told(why)
        self._is_over = True


def page(stack: Stack, token: str, operation: str, after: int = 0) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(
        f"{stack.url}/operations/{operation}/events/", params={"after": after}, headers=headers, timeout=30
    )
    answer.raise_for_status()
    return dict(answer.json())


def assert_heard_all(follower: Any, operation: str, *, after: int = 0, is_slow: bool = False) -> None:
    """It was told what is stored after `after`, each event once and in order; progress is merged for who is slow."""
    until(lambda: follower.is_done or _has_ended(follower), what="it heard the end")
    follower.join(timeout=60)
    assert not getattr(follower, "problem", ""), follower.problem
    assert follower.is_done, f"it ended before the operation did: {_end_of(follower)}"
    assert not getattr(follower, "is_alive", bool)(), "nothing told it that this was all"
    rows = Event.objects.using(ALIAS).filter(operation_id=operation, sequence__gt=after).order_by("sequence")
    told = [event for event in follower.log if event["operation"] == operation]
    assert_is_told(told, list(rows.values_list("sequence", "kind", "data")), is_slow=is_slow)
    assert_gaps_are_explained(getattr(follower, "frames", []), is_slow=is_slow)


def assert_is_told(told: list[dict[str, Any]], rows: list[tuple[int, str, Any]], *, is_slow: bool) -> None:
    stored = {row[0]: row for row in rows}
    merged = [event["sequence"] - back for event in told for back in range(1, event.get("merged", 0) + 1)]
    assert is_slow or not merged, f"progress was merged for a reader that is not slow: {merged}"
    assert {stored.pop(sequence)[1] for sequence in merged} <= {"progress"}
    assert [event["sequence"] for event in told] == list(stored)
    assert [(event["sequence"], event["kind"], event["data"]) for event in told] == list(stored.values())


def assert_gaps_are_explained(frames: list[dict[str, Any]], *, is_slow: bool) -> None:
    """After each gap comes the state at its end, and only who is slow has any."""
    for place, frame in enumerate(frames):
        if frame["type"] == "gap":
            assert is_slow
            now = frames[place + 1]
            assert (now["type"], now["operation"]["id"]) == ("snapshot", frame["operation"])
            assert now["operation"]["sequence"] == frame["sequence"]


def _has_ended(follower: Any) -> bool:
    return isinstance(follower, Follower) and not follower.is_alive()


def _end_of(follower: Any) -> str:
    return json.dumps([follower.log[-2:], getattr(follower, "frames", [])[-3:]])[:2000]
