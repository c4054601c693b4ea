"""What is told arrives as it was said: large, in any script, many at once, and to who is slow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from lro.models import Event, Operation
from tests.end_to_end.contract.conftest import Chatter
from tests.end_to_end.contract.test_joining import await_heard
from tests.end_to_end.contract.transports import PAUSE, TARGETS, TRANSPORTS, Transport, over, those_that
from tests.end_to_end.follower import assert_heard_all, assert_is_told
from tests.end_to_end.stack import ALIAS, Stack
from tests.waiting import until

pytestmark = pytest.mark.slow
Begin, Follow = Callable[..., Chatter], Callable[..., Any]

LARGEST = 64 * 1024
TEXTS = [
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🧑‍🚀 𐍈",  # the astral plane, and a sequence that is joined
    "Å é e\u0301 ñ n\u0303 \u0301",  # the same letters, composed and not; a mark without a letter
    "שלום \u202eعربي\u202c \u200f",
    "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven",  # what some take for the end of a line
    "one\ntwo\r\nthree\rfour\n\ndata: five\nid: 999\nevent: six\n\n",
    '"\\/\u0001\u001f\u007f\ufeff\uffff \u0061\u0062 </script> & \t',
    "",
]


@over()
def test_the_largest_events_arrive_whole(chatter: Begin, follow: Follow, transport: Transport) -> None:
    talk = chatter(things=12, bytes=LARGEST, holds_at=[2])
    follower = follow(transport, talk.id)
    await_heard(follower, talk.last)
    talk.go_on()
    assert_heard_all(follower, talk.id)
    large = Event.objects.using(ALIAS).filter(operation_id=talk.id, data__has_key="number")
    assert {len(event.data["text"]) for event in large} == {LARGEST - 25, LARGEST - 26}  # with its number and quotes


def test_an_event_that_is_too_large_fails_in_the_operation_and_not_on_the_wire(
    drained: Stack, chatter: Begin, follow: Follow
) -> None:
    talk = chatter(things=1, bytes=LARGEST + 1)
    followers = [follow(transport, talk.id) for transport in TRANSPORTS]
    assert talk.await_end().state == "failed"
    for follower in followers:
        assert_heard_all(follower, talk.id)
        assert [event["kind"] for event in follower.log if event["kind"] != "progress"][-1] == "failed"
    assert "65,537 bytes" in drained.operation(talk.id).error["message"]


@over()
def test_any_script_arrives_as_it_was_written(chatter: Begin, follow: Follow, transport: Transport) -> None:
    talk = chatter(things=2, holds_at=[1], texts=TEXTS)
    follower = follow(transport, talk.id)
    await_heard(follower, talk.last)
    talk.go_on()
    assert_heard_all(follower, talk.id)
    assert [event["data"]["said"] for event in follower.log if "said" in event["data"]] == TEXTS


@over(PAUSE)
def test_who_does_not_read_holds_nobody_up_and_is_told_of_the_gap(
    drained: Stack, chatter: Begin, follow: Follow, transport: Transport
) -> None:
    talk = chatter(things=3_500, bytes=8_000, at_once=100, holds_at=[100, 1_600])
    slow, fast = follow(transport, talk.id, buffer=4096), follow(transport, talk.id)
    for follower in (slow, fast):
        await_heard(follower, talk.last)
    slow.pause_reading()
    talk.go_on()
    talk.await_hold()
    await_heard(fast, talk.last)  # however slow this machine is: not so far behind that it is told of a gap
    talk.await_end()
    assert_heard_all(fast, talk.id, is_slow=True)
    assert not fast.named("gap")
    assert not slow.is_done
    slow.resume_reading()
    assert_heard_all(slow, talk.id, is_slow=True)
    assert slow.connections == 1
    assert slow.named("gap")


def test_five_hundred_operations_are_followed_at_once(drained: Stack, follow: Follow) -> None:
    sockets = []
    for transport in those_that(TARGETS):
        sockets.append(follow(transport, targets=[{"mine": True}], others={"what it is yet to be told"}))
        until(lambda: sockets[-1].named("caught_up"), what="it follows")
    begun = start_many(drained, 500)
    followers = [
        (operation, follow(transport, operation))
        for transport in TRANSPORTS
        if TARGETS not in transport.can
        for operation in begun[::25]
    ]
    open_ones = Operation.objects.using(ALIAS).active()
    until(lambda: not open_ones.exists(), within=300, what="all have ended", every=0.2)
    for operation, follower in followers:
        assert_heard_all(follower, operation)
    stored = stored_of(begun)
    for follower in sockets:
        until(lambda follower=follower: endings_of(follower.log).issuperset(begun), what="all was told", every=0.2)
        follower.stop()
        told = told_by_operation(follower.log)
        for operation in begun:
            assert_is_told(told[operation], stored[operation], is_slow=True)
    rest = told_by_rest(drained, [operation for place, operation in enumerate(begun) if place % 25])
    for operation, events in rest.items():
        assert_is_told(events, stored[operation], is_slow=False)


Told = dict[str, list[dict[str, Any]]]


def client_of(stack: Stack) -> httpx.Client:
    headers = {"Authorization": f"Bearer {stack.brief_token(600)}"}
    return httpx.Client(base_url=stack.url, headers=headers, timeout=60)


def start_many(stack: Stack, count: int) -> list[str]:
    with client_of(stack) as client, ThreadPoolExecutor(4) as threads:
        answers = threads.map(lambda _: client.post("/probe/counts", json={"to": 2}), range(count))
        return [str(answer.json()["id"]) for answer in answers]


def told_by_rest(stack: Stack, operations: list[str]) -> Told:
    with client_of(stack) as client, ThreadPoolExecutor(4) as threads:
        pages = threads.map(lambda operation: client.get(f"/operations/{operation}/events/").json(), operations)
        return told_by_operation([event for page in pages for event in page["results"]])


def stored_of(operations: list[str]) -> dict[str, list[tuple[int, str, Any]]]:
    stored: dict[str, list[tuple[int, str, Any]]] = {operation: [] for operation in operations}
    rows = Event.objects.using(ALIAS).filter(operation_id__in=operations).order_by("sequence")
    for operation, *event in rows.values_list("operation_id", "sequence", "kind", "data"):
        stored[str(operation)].append((event[0], event[1], event[2]))
    return stored


def endings_of(log: list[dict[str, Any]]) -> set[str]:
    return {event["operation"] for event in list(log) if event["kind"] == "succeeded"}


def told_by_operation(log: list[dict[str, Any]]) -> Told:
    told: Told = {}
    for event in log:
        told.setdefault(event["operation"], []).append(event)
    return told
