"""Nobody hears what is not theirs, any longer than it is theirs, or with a token that has expired."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from lro.models import Operation
from tests.end_to_end.contract.conftest import Chatter, post
from tests.end_to_end.contract.test_joining import IN_THE_MIDDLE, await_heard
from tests.end_to_end.contract.transports import PUSHED, TARGETS, TOKEN, Transport, over, those_that
from tests.end_to_end.follower import assert_heard_all
from tests.end_to_end.stack import ALIAS, Stack
from tests.end_to_end.transports import open_socket
from tests.waiting import until

pytestmark = pytest.mark.slow
Begin, Follow = Callable[..., Chatter], Callable[..., Any]


@pytest.fixture
def auditor(drained: Stack) -> Iterator[Any]:
    """What the auditor may see of others: all, until it is cleared."""
    user = get_user_model().objects.using(ALIAS).get(username="auditor")
    user.user_permissions.set(Permission.objects.using(ALIAS).filter(codename="view_all_operations"))
    yield user.user_permissions
    user.user_permissions.clear()


@over(TOKEN)
def test_who_may_no_longer_see_it_hears_nothing_of_what_comes_after(
    drained: Stack, auditor: Any, chatter: Begin, follow: Follow, transport: Transport
) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    follower = follow(transport, talk.id, token=drained.brief_token(600, "auditor"))
    await_heard(follower, talk.last)
    auditor.clear()
    if PUSHED in transport.can:
        until(lambda: follower.named("unsubscribed"), what="it is told")
        told = follower.named("unsubscribed")[0]
        assert (told["operation"], told["code"]) == (talk.id, "not_found")
    heard = list(follower.log)
    talk.await_end()
    if TARGETS in transport.can:
        assert_is_told_of_nothing(follower)
    else:
        follower.join(timeout=60)
        assert follower.frames[-1] == {"type": "refused", "status": 404}
    assert not follower.is_done
    if PUSHED in transport.can:  # who asks may just have been being answered
        assert follower.log == heard


def assert_is_told_of_nothing(follower: Any) -> None:
    """The connection goes on, and what it asks for is answered."""
    follower.say(type="subscribe", mine=True)
    until(lambda: follower.named("caught_up")[-1:] == [{"type": "caught_up", "mine": True}], what="it is answered")


@over(TOKEN)
def test_what_is_anothers_is_not_there(drained: Stack, chatter: Begin, follow: Follow, transport: Transport) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    follower = follow(transport, talk.id, token=drained.brief_token(600, "other"))
    until(lambda: follower.named("refused"), what="it is refused")
    refused = follower.named("refused")[0]
    assert (refused.get("status"), refused.get("code")) in ((404, None), (None, "not_found"))
    talk.await_end()
    assert follower.log == []


@over(TARGETS)
def test_two_users_never_hear_of_each_others_operations(
    drained: Stack, chatter: Begin, follow: Follow, transport: Transport
) -> None:
    token, mine = drained.brief_token(600, "other"), [{"mine": True}]
    follower = follow(transport, token=token, targets=mine, others={"what it waits for"})
    until(lambda: follower.named("caught_up"), what="it follows")
    talk = chatter(things=30)
    talk.await_end()
    own = post(drained, "/probe/counts", "other", to=3)["id"]
    drained.await_end(own)
    until(lambda: follower.log and follower.log[-1]["kind"] == "succeeded", what="it heard of its own")
    heard = {event["operation"] for event in follower.log}
    owners = Operation.objects.using(ALIAS).filter(pk__in=heard).values_list("owner__username", flat=True)
    assert own in heard  # and perhaps the end of what the other one had started before
    assert set(owners) == {"other"}


@over(TOKEN)
def test_a_token_that_expires_ends_it(drained: Stack, chatter: Begin, follow: Follow, transport: Transport) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    follower = follow(transport, talk.id, token=drained.brief_token(5))
    await_heard(follower, talk.last)
    told = [{"type": "token_expiring"}, {"type": "refused", "code": "token_expired"}]
    if PUSHED in transport.can:
        until(lambda: follower.named("refused"), what="it is told that its token has expired")
        frames = [frame for frame in follower.frames if frame["type"] in ("token_expiring", "refused")]
        assert [{key: frame[key] for key in wanted} for frame, wanted in zip(frames, told, strict=False)] == told
    if PUSHED not in transport.can:
        until(lambda: is_expired(drained, follower), what="its token has expired")
    talk.await_end()
    follower.join(timeout=60)
    assert not follower.is_done
    ending = {"type": "closed", "code": 4401} if TARGETS in transport.can else {"type": "refused", "status": 401}
    assert follower.frames[-1] == ending


def is_expired(stack: Stack, follower: Any) -> bool:
    headers = {"Authorization": f"Bearer {follower._token}"}
    return httpx.get(f"{stack.url}/operations/", headers=headers, timeout=60).status_code == 401


def test_a_token_that_is_renewed_goes_on(drained: Stack, chatter: Begin, follow: Follow) -> None:
    talk = chatter(**IN_THE_MIDDLE)
    token = drained.brief_token(8)
    followers = {transport.name: follow(transport, talk.id, token=token) for transport in those_that(TOKEN)}
    for follower in followers.values():
        await_heard(follower, talk.last)
        follower.renew(drained.brief_token(6000))
    stream = followers["server-sent events"]
    until(lambda: stream.named("refused"), what="the first token has expired")
    assert stream.named("refused")[0]["code"] == "token_expired"
    talk.go_on()
    for follower in followers.values():
        assert_heard_all(follower, talk.id)
    assert followers["websocket"].connections == 1
    assert len(followers["websocket"].named("ready")) == 2


def test_another_users_token_does_not_renew(drained: Stack, chatter: Begin) -> None:
    with open_socket(drained, "lro.v1", f"bearer.{drained.brief_token(600)}") as link:
        assert json.loads(link.recv(timeout=60))["type"] == "ready"
        link.send(json.dumps({"type": "authenticate", "token": drained.brief_token(600, "other")}))
        assert json.loads(link.recv(timeout=60))["code"] == "other_user"


@over()
def test_a_secret_input_is_told_to_nobody(drained: Stack, follow: Follow, transport: Transport, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    started = post(drained, "/probe/keeps-secrets", diary=str(seen), api_key="sk-live-key")
    follower = follow(transport, started["id"])
    assert_heard_all(follower, started["id"])
    assert json.loads(seen.read_text())["api_key"] == "sk-live-key", "the worker was given it"
    told = [started, *follower.log, *follower.frames]
    if TARGETS in transport.can:
        late = follow(transport, targets=[{"operation": started["id"]}], others={"what it is yet to be told"})
        until(lambda: late.named("snapshot"), what="it is told how it is now")
        assert late.named("snapshot")[0]["operation"]["input"] == {"diary": str(seen), "api_key": "•••"}
        told += late.frames
    assert "sk-live" not in json.dumps(told) + drained.log.read_text()
