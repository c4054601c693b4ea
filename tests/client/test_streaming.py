"""A stream goes on, whatever happens to its sockets."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lro.client import Operation, Problem, SignedOut, Unreachable
from lro.client.effects import Answer, Lost, Send, within
from lro.client.following import Following
from lro.client.streaming import Stream, wait
from lro.client.watching import Watching
from tests.client.scripted import READY, Script, answer, in_turn
from tests.client.test_following import ONE, raw_event, raw_operation, told

END = told(9, "succeeded", whole=raw_operation(9, "succeeded"))
GONE = Lost(1012)
CAUGHT_UP = {"type": "caught_up", "operation": ONE}


def follow(script: Script, after: int = 0) -> list[int]:
    events = script.play(Stream(script.calls, Following({ONE: after})).run())
    return [event.sequence for event in events]


def record(*kinds: str) -> Any:
    """A server whose events are of these kinds, a page having at most three."""

    def rest(call: Send) -> Answer:
        if call.path == f"/operations/{ONE}":
            return answer(raw_operation(len(kinds), kinds[-1]))
        after = call.query["after"]
        rows = [raw_event(n, kind) for n, kind in enumerate(kinds, 1) if n > after]
        return answer({"results": rows[:3], "next_after": after + 3 if len(rows) > 3 else None})

    return rest


def subscriptions(script: Script) -> list[int]:
    return [frame["after"] for frame in script.said if frame["type"] == "subscribe"]


def test_a_lost_socket_is_taken_up_behind_the_last_event() -> None:
    script = Script([READY, told(7), GONE], [READY, told(7), told(8), GONE], [READY, END])
    assert follow(script, after=6) == [7, 8, 9]
    assert subscriptions(script) == [6, 7, 8]
    assert script.sent == []
    assert script.slept == [0.5, 1.0]


def test_without_a_socket_the_record_is_polled_until_there_is_one_again() -> None:
    script = Script(Lost(), Lost(), Lost(), Lost(), [READY, END], rest=record(*["log"] * 8))
    assert follow(script) == list(range(1, 10))
    assert subscriptions(script) == [8]
    polls = [call for call in script.sent if call.path.endswith("/events/")]
    assert len(polls) > 3
    assert max(script.slept) <= 2.0


def test_polling_alone_comes_to_the_end() -> None:
    script = Script(*[Lost()] * 3, rest=record("created", "started", "progress", "progress", "failed"))
    assert follow(script) == [1, 2, 3, 4, 5]


def test_a_gap_is_filled_from_the_record_before_it_goes_on() -> None:
    gap = {"type": "gap", "operation": ONE, "after": 1, "sequence": 8}
    snapshot = {"type": "snapshot", "operation": raw_operation(8)}
    script = Script([READY, told(1), gap, snapshot, END], rest=record(*["log"] * 8, "succeeded"))
    assert follow(script) == list(range(1, 10))
    assert [call.query["after"] for call in script.sent] == [1, 4, 7]


def test_who_is_silent_after_a_ping_is_left() -> None:
    script = Script([READY, told(7)], [READY, END], rest=record(*["log"] * 8, "succeeded"))
    began = script.now
    assert follow(script, after=6) == [7, 8, 9]
    assert {"type": "ping", "sequences": {ONE: 7}} in script.said
    assert 25 <= script.now - began < 30


def test_who_answers_pings_is_kept() -> None:
    quiet: list[Any] = [None, {"type": "pong"}]

    def later() -> Any:
        script.now += 16
        return quiet.pop(0)

    script = Script([READY, told(8), later, later, END])
    assert follow(script, after=7) == [8, 9]
    assert [frame["type"] for frame in script.said] == ["subscribe", "ping", "ping"]


def test_a_token_is_renewed_on_the_socket() -> None:
    script = Script([READY, {"type": "token_expiring"}, READY, END], rest=lambda call: answer({"access": "second"}))
    follow(script, after=8)
    assert {"type": "authenticate", "token": "second"} in script.said
    assert script.tokens == ["first"]
    assert subscriptions(script) == [8]


def test_a_token_that_cannot_be_renewed_is_used_until_the_server_closes() -> None:
    script = Script([READY, {"type": "token_expiring"}, told(8), Lost(4401)], keeper={"token": "only"})
    with pytest.raises(SignedOut):
        follow(script, after=7)


def test_a_socket_closed_for_its_token_is_opened_at_once_with_another() -> None:
    script = Script([Lost(4401)], [READY, END], rest=lambda call: answer({"access": "second"}))
    assert follow(script, after=8) == [9]
    assert script.tokens == ["first", "second"]
    assert script.slept == []


def test_a_token_may_be_refused_again_when_one_was_taken_between() -> None:
    fresh = itertools.count()
    script = Script(
        *[[Lost(4401)], [READY, Lost(4401)]], [READY, END], rest=lambda call: answer({"access": f"token {next(fresh)}"})
    )
    assert follow(script, after=8) == [9]
    assert script.tokens == ["first", "token 0", "token 1"]


def test_sockets_that_last_are_no_reason_to_poll() -> None:
    def later() -> Any:
        script.now += 11
        return GONE

    script = Script(*[[READY, later]] * 6, [READY, END], rest=record(*["log"] * 8, "succeeded"))
    assert follow(script, after=8) == [9]
    assert (script.slept, script.sent) == ([0.5] * 6, [])


def test_a_server_that_takes_no_token_is_not_asked_for_ever() -> None:
    fresh = itertools.count()
    script = Script([Lost(4401)], [Lost(4401)], rest=lambda call: answer({"access": f"token {next(fresh)}"}))
    with pytest.raises(SignedOut):
        follow(script)


def test_a_server_error_is_waited_out() -> None:
    refused = {"type": "refused", "operation": ONE, "code": "server_error", "message": ""}
    script = Script([READY, refused], [READY, END])
    assert follow(script, after=8) == [9]
    assert script.slept == [0.5]


def test_a_server_that_fails_at_the_record_is_waited_out_too() -> None:
    broken = [answer(status=500)] * 4
    rest = in_turn([*broken, answer({"results": [raw_event(8)], "next_after": None}), *broken * 100])
    script = Script([READY, told(9)], [READY, told(9)], *[Lost()] * 3, [READY, END], rest=rest)
    assert follow(script, after=7) == [8, 9]


def test_its_patience_ends() -> None:
    script = Script(*[Lost()] * 100, rest=lambda call: answer(status=500))
    began = script.now
    with pytest.raises(Problem):
        follow(script)
    assert 120 < script.now - began < 180
    script = Script(*[Lost()] * 100, rest=in_turn(Unreachable("no route") for _ in range(1000)))
    with pytest.raises(Unreachable):
        follow(script)


def test_the_time_that_the_caller_takes_is_not_the_servers() -> None:
    rest = in_turn([answer(status=500), answer({"results": [], "next_after": None})])
    script = Script([READY, told(7), told(9)], [READY, told(8), None, END], rest=rest)
    script.seconds_to_take = 1000
    assert follow(script, after=6) == [7, 8, 9]
    assert [frame["type"] for frame in script.said] == ["subscribe", "ping", "subscribe", "ping"]


def test_what_comes_before_ready_is_passed_over_and_a_socket_that_says_nothing_is_left() -> None:
    script = Script([], [{"type": "hello"}, READY, END])
    began = script.now
    assert follow(script, after=8) == [9]
    assert 8 <= script.now - began < 10


def test_a_watcher_is_given_the_newest_of_what_has_come() -> None:
    frames = [{"type": "event", "event": raw_event(n, "progress", current=n)} for n in range(2, 7)]
    script = Script([READY, {"type": "snapshot", "operation": raw_operation(1)}, *frames, None, None, END])
    states: list[Operation] = script.play(Stream(script.calls, Watching(ONE)).run())
    assert [state.sequence for state in states] == [6, 9]
    assert states[0].progress.current == 6


def test_what_a_watcher_has_heard_is_given_before_the_next_socket() -> None:
    script = Script([READY, {"type": "snapshot", "operation": raw_operation(1)}, GONE], [READY, END])
    states = script.play(Stream(script.calls, Watching(ONE)).run())
    assert [state.sequence for state in states] == [1, 9]


def test_a_watcher_polls_too() -> None:
    script = Script(*[Lost()] * 3, rest=record("created", "succeeded"))
    assert script.run(wait(script.calls, ONE)).state == "succeeded"


def test_a_wait_is_bounded_whatever_it_waits_for() -> None:
    for sockets in ([[READY, CAUGHT_UP]], [Lost()] * 50):
        script = Script(*sockets, rest=lambda call: answer(raw_operation(1)))
        began = script.now
        with pytest.raises(TimeoutError, match="7 seconds"):
            script.run(within(wait(script.calls, ONE), 7, script.clock))
        assert script.now - began == pytest.approx(7, abs=0.2)
