"""Whenever a follower comes, and however often it is cut off, it hears every event once and in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.end_to_end.contract.conftest import Chatter
from tests.end_to_end.contract.transports import CUT, PUSHED, TRANSPORTS, Transport, over, those_that
from tests.end_to_end.follower import assert_heard_all
from tests.end_to_end.stack import Stack
from tests.waiting import until

pytestmark = pytest.mark.slow
Begin, Follow = Callable[..., Chatter], Callable[..., Any]
IN_THE_MIDDLE = {"things": 30, "holds_at": [15], "seconds_each": 0.01}


def await_heard(follower: Any, sequence: int) -> None:
    until(lambda: follower.log and follower.log[-1]["sequence"] >= sequence, what=f"it heard up to {sequence}")


@over()
@pytest.mark.parametrize("after", [0, 7])
def test_who_comes_in_the_middle_hears_all_that_it_asks_for(
    chatter: Begin, follow: Follow, transport: Transport, after: int
) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    follower = follow(transport, talk.id, after)
    await_heard(follower, talk.last - 1)
    talk.go_on()
    assert_heard_all(follower, talk.id, after=after)


@over()
@pytest.mark.parametrize("after", [0, 20])
def test_who_comes_after_the_end_hears_all_that_it_asks_for(
    chatter: Begin, follow: Follow, transport: Transport, after: int
) -> None:
    talk = chatter(things=30)
    talk.await_end()
    assert_heard_all(follow(transport, talk.id, after), talk.id, after=after)


@over(CUT)
def test_a_cut_after_any_event_neither_loses_nor_doubles_one(
    chatter: Begin, follow: Follow, transport: Transport
) -> None:
    talk = chatter(things=30, holds_at=[2], seconds_each=0.03)
    everywhere = follow(transport, talk.id, cuts=range(1, 10_000))
    followers = [follow(transport, talk.id, cuts={cut}) for cut in range(1, 32)]
    talk.go_on()
    for follower in (everywhere, *followers):
        assert_heard_all(follower, talk.id)
    assert all(follower.connections >= 2 for follower in followers)
    assert everywhere.connections >= len(everywhere.log) - 1


@over(CUT)
def test_a_cut_while_nothing_happens_is_resumed_from_where_it_was(
    chatter: Begin, follow: Follow, transport: Transport
) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    follower = follow(transport, talk.id)
    await_heard(follower, talk.last)
    follower.drop()
    until(lambda: follower.connections == 2, what="it came back")
    talk.go_on()
    assert_heard_all(follower, talk.id)


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
def test_a_restart_of_the_server_is_resumed_without_a_gap(
    drained: Stack, chatter: Begin, follow: Follow, signal_name: str
) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    followers = {transport.name: follow(transport, talk.id) for transport in TRANSPORTS}
    for follower in followers.values():
        await_heard(follower, talk.last)
    os.kill(drained.pid("web"), getattr(signal, signal_name))
    for transport in those_that(PUSHED):
        until(lambda name=transport.name: followers[name].connections >= 2, what=f"{transport.name} came back")
    talk.go_on()
    for follower in followers.values():
        assert_heard_all(follower, talk.id)
    closed = 1012 if signal_name == "SIGTERM" else 1006
    assert followers["websocket"].named("closed")[0]["code"] == closed


@over()
def test_what_no_hint_tells_of_is_found_in_the_rows(
    drained: Stack, chatter: Begin, follow: Follow, transport: Transport
) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    follower = follow(transport, talk.id)
    await_heard(follower, talk.last)
    valkey = redis.Redis.from_url(drained.run["redis_url"])
    valkey.execute_command("ACL", "SETUSER", "default", "-publish")
    try:
        talk.await_end()
        assert_heard_all(follower, talk.id)
    finally:
        valkey.execute_command("ACL", "SETUSER", "default", "+publish")
        valkey.close()


def test_a_broker_that_forgets_all_and_cuts_its_listeners_off_loses_nothing(
    drained: Stack, chatter: Begin, follow: Follow
) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    followers = [follow(transport, talk.id) for transport in TRANSPORTS]
    for follower in followers:
        await_heard(follower, talk.last)
    with redis.Redis.from_url(drained.run["redis_url"]) as valkey:
        valkey.flushall()
        until(lambda: valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub"), what="a listener is cut off")
    talk.go_on()
    for follower in followers:
        assert_heard_all(follower, talk.id)
