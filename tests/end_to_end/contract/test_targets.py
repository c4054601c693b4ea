"""One connection follows many targets: what belongs to several is told once, and commands are answered by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest

from tests.end_to_end.contract.conftest import Chatter, post
from tests.end_to_end.contract.test_joining import IN_THE_MIDDLE, await_heard
from tests.end_to_end.contract.transports import TARGETS, Transport, over
from tests.end_to_end.follower import assert_heard_all
from tests.end_to_end.stack import Stack
from tests.end_to_end.transports import open_socket
from tests.waiting import until

pytestmark = pytest.mark.slow
Begin, Follow = Callable[..., Chatter], Callable[..., Any]


@over(TARGETS)
@pytest.mark.parametrize("name", ["operation", "root"])
def test_a_target_that_is_subscribed_twice_is_told_once(
    chatter: Begin, follow: Follow, transport: Transport, name: str
) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    target = {name: talk.id, "after": 0}
    follower = follow(transport, talk.id, targets=[target, target])
    await_heard(follower, talk.last)
    talk.go_on()
    assert_heard_all(follower, talk.id)


@over(TARGETS)
@pytest.mark.parametrize("order", [*permutations(["operation", "root", "mine"])], ids="-".join)
def test_targets_that_overlap_are_told_once(
    chatter: Begin, follow: Follow, transport: Transport, order: tuple[str, ...]
) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    targets = {"operation": talk.id, "root": talk.id, "mine": True}
    follower = follow(transport, talk.id, targets=[{name: targets[name], "after": 0} for name in order])
    until(lambda: len(follower.named("caught_up")) == 3, what="it follows all")
    talk.go_on()
    assert_heard_all(follower, talk.id)


@over(TARGETS)
def test_a_tree_is_followed_by_its_root(drained: Stack, follow: Follow, chatter: Begin, transport: Transport) -> None:
    root = post(drained, "/probe/splits", child="probe.counts", inputs=[{"to": 2}] * 5)["id"]
    children = [str(pk) for pk in until(lambda: children_of(drained, root), what="it has its children")]
    follower = follow(transport, root, targets=[{"root": root, "after": 0}], others=children)
    for operation in (root, *children):
        assert_heard_all(follower, operation)
    assert {event["operation"] for event in follower.log} == {root, *children}


def children_of(stack: Stack, root: str) -> list[Any]:
    row = stack.operation(root)
    return list(row.children.using("stack").values_list("pk", flat=True)) if row.children_total == 5 else []


@pytest.fixture
def link(drained: Stack) -> Iterator[Any]:
    with open_socket(drained, "lro.v1", f"bearer.{drained.brief_token(600)}") as link:
        assert json.loads(link.recv(timeout=60))["type"] == "ready"
        yield link


def say(link: Any, **frame: Any) -> dict[str, Any]:
    link.send(json.dumps(frame))
    return dict(json.loads(link.recv(timeout=60)))


def test_a_command_is_acknowledged_under_its_own_name(link: Any, chatter: Begin) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    for number, (verb, states) in enumerate(
        {"pause": ("pausing", "paused"), "cancel": ("cancelling", "cancelled")}.items()
    ):
        answer = say(link, type=verb, operation=talk.id, request_id=f"request {number}")
        assert (answer["type"], answer["request_id"]) == ("acknowledged", f"request {number}")
        assert answer["operation"]["id"] == talk.id
        assert answer["operation"]["state"] in states


def test_a_command_that_cannot_be_done_is_refused_under_its_own_name(link: Any, drained: Stack, chatter: Begin) -> None:
    talk = chatter(things=1)
    talk.await_end()
    others = post(drained, "/probe/counts", "other", to=1)["id"]
    drained.await_end(others)
    for verb, operation, code in (
        ("pause", talk.id, "not_allowed_now"),
        ("resume", talk.id, "not_allowed_now"),
        ("cancel", others, "not_found"),
        ("retry", "nonsense", "bad_operation"),
        ("dance", talk.id, "unknown_type"),
    ):
        answer = say(link, type=verb, operation=operation, request_id=verb)
        assert (answer["type"], answer["request_id"]) == ("refused", verb)
        assert answer["message"]
        assert answer["code"] == code, verb
    assert say(link, type="subscribe", operation=talk.id)["type"] == "snapshot"
