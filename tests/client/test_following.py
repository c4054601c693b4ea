"""Whatever the socket does, a follower is given the record: each event once, in order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro.client import Event, InvalidAnswer, Problem
from lro.client.following import SUBSCRIPTIONS, Following, Log, Wanted, cursors, parse
from lro.client.resources import event as as_event
from lro.client.resources import operation as as_operation
from lro.client.watching import Watching

ONE = "0198f3c2-0000-7000-8000-000000000001"
KINDS = ("progress", "progress", "progress", "log", "reject", "failed")


def raw_event(sequence: int, kind: str = "log", **data: Any) -> dict[str, Any]:
    return {"operation": ONE, "root": ONE, "sequence": sequence, "kind": kind, "attempt": 1, "data": data}


def raw_operation(sequence: int, state: str = "running", **more: Any) -> dict[str, Any]:
    done = state in ("succeeded", "failed", "cancelled", "expired")
    row = {"id": ONE, "name": "probe.counts", "state": state, "done": done, "sequence": sequence, "progress": {}}
    return {**row, **more}


def told(sequence: int, kind: str = "log", *, merged: int = 0, whole: Any = None) -> dict[str, Any]:
    frame: dict[str, Any] = {"type": "event", "event": raw_event(sequence, kind)}
    return frame | ({"merged": merged} if merged else {}) | ({"operation": whole} if whole else {})


@dataclass
class Server:
    """A record, and a socket that repeats, skips, reorders, merges and gives up, as `chance` has it."""

    kinds: list[str]
    chance: random.Random
    cursor: int = 0
    frames: list[dict[str, Any]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.kinds)

    def connect(self, after: int) -> None:
        self.cursor = after
        self.frames = self.chance.sample(self.frames, self.chance.randint(0, len(self.frames)))

    def push(self) -> None:
        if self.cursor >= self.size:
            self.frames.append({"type": "caught_up", "operation": ONE})
            return
        getattr(self, self.chance.choice(["_plain", "_plain", "_merged", "_gap", "_hole", "_twice"]))()

    def _plain(self) -> None:
        self.cursor += 1
        self.frames.append(self._frame(self.cursor))

    def _twice(self) -> None:
        self._plain()
        self.frames.append(self.frames[-1])

    def _hole(self) -> None:
        self.cursor = min(self.size, self.cursor + self.chance.randint(1, 5))
        self.frames.append(self._frame(self.cursor))

    def _merged(self) -> None:
        first = self.cursor + 1
        while self.cursor < self.size and self.kinds[self.cursor] == "progress":
            self.cursor += 1
        if self.cursor >= first:
            self.frames.append(self._frame(self.cursor) | {"merged": self.cursor - first})

    def _gap(self) -> None:
        after, self.cursor = self.cursor, min(self.size, self.cursor + self.chance.randint(1, 9))
        self.frames.append({"type": "gap", "operation": ONE, "after": after, "sequence": self.cursor})
        self.frames.append({"type": "snapshot", "operation": self._row()})

    def _frame(self, sequence: int) -> dict[str, Any]:
        kind = self.kinds[sequence - 1]
        return told(sequence, kind, whole=self._row() if kind in ("failed", "succeeded") else None)

    def _row(self) -> dict[str, Any]:
        return raw_operation(self.size, self.kinds[-1])

    def page(self, after: int, size: int) -> tuple[tuple[Event, ...], bool]:
        rows = [as_event(raw_event(n, self.kinds[n - 1])) for n in range(after + 1, self.size + 1)]
        return tuple(rows[:size]), len(rows) <= size


def satisfy(following: Following, server: Server, page: int) -> None:
    while (wanted := following.wanted()) is not None:
        if wanted.after is None:
            following.learn(as_operation(server._row()))
        else:
            following.fill(wanted.operation, *server.page(wanted.after, page))


def expanded(events: list[Event]) -> list[int]:
    """Each sequence that the events stand for."""
    return [n for event in events for n in range(event.sequence - event.merged, event.sequence + 1)]


@settings(max_examples=400, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(KINDS), max_size=40),
    end=st.sampled_from(["succeeded", "failed", "cancelled", "expired"]),
    start=st.integers(0, 45),
    page=st.integers(1, 8),
    seed=st.integers(0, 2**32),
)
def test_what_is_delivered_equals_the_record(kinds: list[str], end: str, start: int, page: int, seed: int) -> None:
    chance = random.Random(seed)
    server = Server([*kinds, end], chance)
    start = min(start, server.size)
    following = Following({ONE: start})
    delivered: list[Event] = []
    server.connect(start)
    for _ in range(10 * server.size + 50):
        if following.is_over:
            break
        if chance.random() < 0.1:
            server.connect(following.sequences()[ONE])
        server.push()
        while server.frames and chance.random() < 0.8:
            following.feed(server.frames.pop(0 if chance.random() < 0.9 else -1))
            if chance.random() < 0.7:
                satisfy(following, server, page)
        if chance.random() < 0.02:
            following.suspect()
        satisfy(following, server, page)
        delivered += following.take()
    assert following.is_over
    assert expanded(delivered) == list(range(start + 1, server.size + 1))
    durable = [(event.sequence, event.kind) for event in delivered if event.kind != "progress"]
    assert durable == [(n, kind) for n, kind in enumerate(server.kinds, 1) if n > start and kind != "progress"]


def test_a_merged_event_stands_for_those_before_it_and_says_only_what_is_new() -> None:
    log = Log(4)
    (event,) = log.offer(as_event(raw_event(8, "progress"), 5))
    assert (event.sequence, event.merged, log.last, log.is_behind) == (8, 3, 8, False)
    assert log.offer(as_event(raw_event(12, "progress"), 2)) == []
    assert log.is_behind


def test_a_gap_is_asked_for_before_its_snapshot_has_come() -> None:
    following = Following({ONE: 4})
    following.feed({"type": "gap", "operation": ONE, "after": 4, "sequence": 9})
    assert following.wanted() == Wanted(ONE, 4)


def test_a_page_that_overlaps_gives_only_what_is_new() -> None:
    following = Following({ONE: 2})
    following.fill(ONE, tuple(as_event(raw_event(n)) for n in (3, 1, 2, 4)), True)
    assert [event.sequence for event in following.take()] == [3, 4]


def test_it_goes_on_behind_a_terminal_event_that_was_not_the_last() -> None:
    following = Following({ONE: 0})
    following.feed(told(1, "failed", whole=raw_operation(2, "queued")))
    assert following.wanted() == Wanted(ONE, 1)
    following.fill(ONE, (as_event(raw_event(2, "retry.scheduled")),), True)
    assert not following.is_over
    following.feed(told(3, "succeeded", whole=raw_operation(3, "succeeded")))
    assert [event.sequence for event in following.take()] == [1, 2, 3]
    assert following.is_over


def test_without_until_done_it_never_ends() -> None:
    following = Following({ONE: 0}, until_done=False)
    following.feed(told(1, "succeeded", whole=raw_operation(1, "succeeded")))
    assert not following.is_over
    assert following.subscriptions() == [{"type": "subscribe", "operation": ONE, "after": 1}]


def test_who_begins_behind_the_last_event_asks_whether_it_is_done() -> None:
    following = Following({ONE: 7})
    following.feed({"type": "caught_up", "operation": ONE})
    assert following.wanted() == Wanted(ONE)
    following.learn(as_operation(raw_operation(7, "cancelled")))
    assert following.is_over


def test_what_the_record_has_not_any_more_is_passed_over() -> None:
    following = Following({ONE: 0})
    following.feed(told(9, "log"))
    following.fill(ONE, (as_event(raw_event(3)), as_event(raw_event(9))), True)
    following.feed(told(10, "log"))
    assert [event.sequence for event in following.take()] == [3, 9, 10]
    assert following.wanted() is None


def test_several_operations_share_a_socket_and_those_that_ended_are_left_out() -> None:
    other = ONE[:-1] + "2"
    following = Following(cursors([ONE.upper(), other], {ONE: 3}))
    assert following.sequences() == {ONE: 3, other: 0}
    following.feed(told(4, "succeeded", whole=raw_operation(4, "succeeded")))
    assert following.sequences() == {other: 0}
    following.feed({"type": "unsubscribed", "operation": ONE, "code": "not_found", "message": "It was deleted."})
    with pytest.raises(Problem):
        following.feed({"type": "unsubscribed", "operation": other, "code": "not_found", "message": "It was deleted."})


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        ({"type": "refused", "code": "not_found", "message": "There is none."}, 404),
        ({"type": "refused", "code": "bad_operation", "operation": ONE}, 400),
        ({"type": "unsubscribed", "operation": ONE, "code": "not_found"}, 404),
    ],
)
def test_what_cannot_be_followed_is_a_problem(frame: dict[str, Any], status: int) -> None:
    for subject in (Following({ONE: 0}), Watching(ONE)):
        with pytest.raises(Problem) as refused:
            subject.feed(frame)  # type: ignore[attr-defined]
        assert (refused.value.status, refused.value.code) == (status, frame["code"])


@pytest.mark.parametrize("text", ["{", "[]", "null", "[" * 100_000])
def test_what_is_no_frame_is_an_invalid_answer(text: str) -> None:
    with pytest.raises(InvalidAnswer):
        parse(text)


def test_frames_and_fields_of_a_later_version_are_passed_over() -> None:
    following = Following({ONE: 0})
    following.feed({"type": "something.new", "operation": ONE})
    following.feed(told(1) | {"novel": True})
    assert len(following.take()) == 1


def test_a_socket_has_a_limit_of_subscriptions() -> None:
    for size in (0, SUBSCRIPTIONS + 1):
        with pytest.raises(ValueError, match="from 1 to 50"):
            Following({str(n): 0 for n in range(size)})


def test_a_watcher_is_given_the_newest_state_once() -> None:
    watching = Watching(ONE)
    watching.feed({"type": "snapshot", "operation": raw_operation(3)})
    watching.feed({"type": "event", "event": raw_event(4, "progress", current=40, total=80, rejected=2)})
    (state,) = watching.take()
    assert (state.sequence, state.progress.current, state.rejected) == (4, 40, 2)
    watching.feed(told(4))
    assert watching.take() == []
    watching.feed({"type": "event", "event": raw_event(5, "progress", current=50)})
    watching.feed({"type": "event", "event": raw_event(6, "succeeded", state="succeeded")})
    assert (watching.take(), watching.wanted(), watching.is_over) == ([], Wanted(ONE), False)
    watching.learn(as_operation(raw_operation(6, "succeeded")))
    assert not watching.is_over
    assert [state.done for state in watching.take()] == [True]
    assert watching.is_over
