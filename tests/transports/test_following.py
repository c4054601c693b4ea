"""How followers are told, one by one, with a client whose reading the test controls."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.db.models.functions import Now

from lro.models import Operation
from lro.transports import backlog, following, payloads, records
from lro.transports import hub as hubs
from lro.transports.access import Rights
from lro.transports.conversation import Conversation
from lro.transports.frames import Frame
from lro.transports.hub import hub
from lro.transports.messages import message_of
from lro.transports.records import Target, read
from lro.transports.rest import live
from lro.transports.tokens import Identity
from tests.transports.world import Client, World, played, target, until, user

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("calm")]


@pytest.fixture
def calm(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No floor poll: what the test does not tell is not heard. And whoever is blocked is slow at once."""
    settings.LRO = {**settings.LRO, "FLOOR_POLL_SECONDS": 3600.0}
    monkeypatch.setattr(following, "_PATIENCE_SECONDS", 0.0)


@played
async def test_a_client_that_reads_hears_every_progress(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    for _ in range(40):
        await world.tell(operation, "progress")
    await world.settle()
    assert client.told() == list(range(1, 42))
    assert not any("merged" in frame for frame in client.frames)


@played
async def test_many_events_at_once_make_nobody_slow(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.settle()
    for count in (40, 3_000):
        await world.tell(operation, "progress", count)
        await world.settle()
    assert client.told() == list(range(1, 3_042))
    assert not any("merged" in frame for frame in client.frames)
    assert not client.named("gap")


@played
async def test_who_takes_a_frame_in_a_moment_is_not_slow(world: World, alice: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(following, "_PATIENCE_SECONDS", 3600.0)
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.settle()
    client.block()
    for _ in range(3):
        await world.tell(operation, "progress", 1_000)
    client.release()
    await world.settle()
    assert client.told() == list(range(1, 3_002))
    assert not any("merged" in frame for frame in client.frames)


@played
async def test_up_to_sixteen_frames_wait_before_progress_is_merged(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation)
    await world.settle()
    client.block()
    await world.tell(operation, "log")
    await until(lambda: not client.follower._backlog, "one is on its way")
    for _ in range(16):
        await world.tell(operation, "progress")
    client.release()
    await world.settle()
    assert client.told() == list(range(2, 19))
    assert not any("merged" in frame for frame in client.frames)


@played
async def test_progress_is_merged_for_who_is_slow_and_says_for_how_much_it_stands(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation)
    await world.settle()
    client.block()
    await world.tell(operation, "log", 17)  # 2 to 18
    await world.tell(operation, "progress", 5)  # 19 to 23
    await world.tell(operation, "log")  # 24
    await world.tell(operation, "progress", 3)  # 25 to 27
    client.release()
    await world.settle()
    assert client.told() == [*range(2, 19), 23, 24, 27]
    assert [frame["merged"] for frame in client.frames if "merged" in frame] == [4, 2]


@played
async def test_progress_of_one_operation_is_not_merged_into_anothers(world: World, alice: Any) -> None:
    first, second, client = await world.operation(alice), await world.operation(alice), await world.client(alice)
    for operation in (first, second):
        await client.follow("operation", operation)
    await world.settle()
    client.block()
    await world.tell(first, "log", 20)  # 2 to 21
    for _ in range(3):
        await world.tell(first, "progress")
        await world.tell(second, "progress")
    client.release()
    await world.settle()
    assert (client.told(first), client.told(second)) == ([*range(2, 22), 24], [4])


@played
async def test_what_a_full_queue_has_no_room_for_is_read_from_the_rows(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.settle()
    client.block()
    for _ in range(3):
        await world.tell(operation, "log", 600)
    assert len(client.follower._backlog) in (backlog.FULL, backlog.FULL - 1)  # and one on its way
    client.release()
    await world.settle()
    assert client.told() == list(range(1, 1802))
    assert not client.named("gap")


@played
async def test_who_is_too_far_behind_is_told_of_the_gap_and_hears_what_comes_after_it(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.settle()
    client.block()
    await world.tell(operation, "log", 2_500)
    client.release()
    await world.settle()
    (gap,) = client.named("gap")
    assert client.told() == list(range(1, gap["after"] + 1))
    assert (gap["operation"], gap["sequence"]) == (str(operation.pk), 2_501)
    now = client.frames[client.frames.index(gap) + 1]
    assert (now["type"], now["operation"]["sequence"]) == ("snapshot", 2_501)
    await world.tell(operation, "log", 3)
    await world.settle()
    assert client.told()[-3:] == [2_502, 2_503, 2_504]


@played
async def test_who_is_not_slow_is_never_told_of_a_gap(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await world.append(operation, "log", 2_500)
    await client.follow("operation", operation, 0)
    await world.settle()
    assert client.told() == list(range(1, 2_502))


@played
async def test_a_slow_client_holds_nobody_up(world: World, alice: Any) -> None:
    operation = await world.operation(alice)
    slow, fast = await world.client(alice), await world.client(alice)
    for client in (slow, fast):
        await client.follow("operation", operation, 0)
    slow.block()
    await world.tell(operation, "log", 1_000)
    await until(lambda: len(fast.told()) == 1_001)


@pytest.mark.parametrize("after", [None, 0])
@played
async def test_a_repeated_subscription_is_not_told_twice(world: World, alice: Any, after: int | None) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.tell(operation, "log", 5)
    await client.follow("operation", operation, after)
    await world.tell(operation, "log", 5)
    await world.settle()
    assert client.told() == list(range(1, 12))
    assert len(client.named("caught_up")) == 2


@pytest.mark.parametrize("kinds", [("operation", "root", "mine"), ("mine", "root", "operation")])
@played
async def test_targets_that_overlap_are_told_once(world: World, alice: Any, kinds: tuple[str, ...]) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    for kind in kinds:
        await client.follow(kind, operation if kind != "mine" else None, 0)
        await world.tell(operation, "log", 2)
    await world.settle()
    assert client.told() == list(range(1, 8))


@pytest.mark.parametrize("after", [None, 0])
@played
async def test_a_family_of_more_than_a_page_is_told_to_the_last(
    world: World, alice: Any, monkeypatch: pytest.MonkeyPatch, after: int | None
) -> None:
    for module in (records, following, hubs):
        monkeypatch.setattr(module, "PAGE", 3)
    root, client = await world.operation(alice), await world.client(alice)
    children = [await world.operation(alice, root=root) for _ in range(7)]
    await client.follow("root", root, after)
    await world.settle()
    family = sorted((str(one.pk) for one in (root, *children)), reverse=True)
    if after is None:
        told = [frame["operation"]["id"] for frame in client.named("snapshot")]
    else:
        told = [frame["event"]["operation"] for frame in client.named("event")]
    assert told == family
    assert client.frames[-1]["type"] == "caught_up"


@played
async def test_who_asks_for_more_than_it_was_told_is_told_it(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await world.append(operation, "log", 5)
    await client.follow("mine")
    await world.settle()
    assert client.told() == []
    await client.follow("operation", operation, 0)
    await world.settle()
    assert client.told() == list(range(1, 7))


@pytest.mark.parametrize("moment", ["before the rows are read", "after they are read"])
@pytest.mark.parametrize("after", [None, 0])
@pytest.mark.parametrize("kind", ["operation", "mine"])
@played
async def test_a_hint_that_comes_during_the_join_is_neither_lost_nor_doubled(
    world: World, alice: Any, moment: str, after: int | None, kind: str
) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    reads = iter([True])

    async def interrupted(query: Any, *args: Any, **options: Any) -> Any:
        answer = await read(query, *args, **options) if moment == "after they are read" else None
        if next(reads, False):
            await world.tell(operation, "log", 2)
        return answer if answer is not None else await read(query, *args, **options)

    with mock.patch.object(following, "read", interrupted):
        await client.follow(kind, operation if kind == "operation" else None, after)
        await world.settle()
    await world.tell(operation, "log")
    await world.settle()
    begun = [frame["operation"]["sequence"] for frame in client.named("snapshot")]
    assert client.told() == list(range((begun or [0])[0] + 1, 5))
    assert len(begun) == (after is None)


@pytest.mark.parametrize("is_joining", [False, True])
@played
async def test_an_operation_that_begins_later_is_told_from_its_first_event(
    world: World, alice: Any, is_joining: bool
) -> None:
    client, begun = await world.client(alice), []

    async def interrupted(query: Any, *args: Any, **options: Any) -> Any:
        answer = await read(query, *args, **options)
        if not begun:
            begun.append(await world.operation(alice))
            await world.tell(begun[0], "log")
        return answer

    if is_joining:
        with mock.patch.object(following, "read", interrupted):
            await client.follow("mine")
            await world.settle()
    else:
        await client.follow("mine")
        begun.append(await world.operation(alice))
        await world.tell(begun[0], "log")
    await world.tell(begun[0], "log")
    await world.settle()
    assert client.told(begun[0]) == [1, 2, 3]


@played
async def test_another_users_operation_is_not_told(world: World, alice: Any, bob: Any) -> None:
    operation, client = await world.operation(bob), await world.client(alice)
    await client.follow("mine", None, 0)
    assert not await client.follow("operation", operation, 0)
    await world.tell(operation, "log")
    await world.settle()
    assert client.told() == []


@pytest.mark.parametrize("kind", ["operation", "root", "mine"])
@played
async def test_who_leaves_is_told_no_more_until_it_comes_again(world: World, alice: Any, kind: str) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    wanted = operation if kind != "mine" else None
    await client.follow(kind, wanted, 0)
    await world.settle()
    client.follower.unsubscribe(target(kind, wanted))
    await world.tell(operation, "log", 3)
    await world.settle()
    assert client.told() == [1]
    await client.follow(kind, wanted, 2)
    await world.tell(operation, "log")
    await world.settle()
    assert client.told() == [1, 3, 4, 5]


@played
async def test_who_leaves_is_not_told_what_waits_for_it(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.settle()
    client.block()
    await world.tell(operation, "log", 600)
    client.follower.unsubscribe(target("operation", operation))
    client.release()
    await world.settle()
    assert client.told() in ([1], [1, 2])  # what was on its way
    await client.follow("operation", operation, 590)
    await world.settle()
    assert client.told()[-11:] == list(range(591, 602))


@pytest.fixture
def auditor(bob: Any) -> Any:
    bob.user_permissions.set(Permission.objects.filter(codename="view_all_operations"))
    return user("bob")


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("kind", ["operation", "root"])
@played
async def test_who_may_see_it_no_longer_is_told_so_and_nothing_after(
    world: World, alice: Any, auditor: Any, kind: str, is_slow: bool
) -> None:
    operation, client = await world.operation(alice), await world.client(auditor)
    await client.follow(kind, operation, 0)
    await client.follow("mine")
    await world.settle()
    if is_slow:
        client.block()
        await world.tell(operation, "log", 600)
    await world.ask(auditor.user_permissions.clear)
    review = asyncio.create_task(client.follower.review(await world.ask(lambda: Rights.of(user("bob")))))
    await until(lambda: not client.follower._backlog, "what waits is taken back")
    await world.tell(operation, "log")
    client.release()
    await review
    await world.settle()
    assert client.told() in ([1], [1, 2])  # what was on its way
    (told,) = client.named("unsubscribed")
    assert (told[kind], told["code"]) == (str(operation.pk), "not_found")


@played
async def test_a_new_token_brings_no_right_over_that_was_withdrawn(world: World, alice: Any, auditor: Any) -> None:
    operation, frames = await world.operation(alice), list[dict[str, Any]]()

    async def send(frame: Frame) -> None:
        frames.append(frame.as_dict())

    conversation = Conversation(send, mock.AsyncMock())
    try:
        await conversation.welcome(Identity(auditor))
        await conversation.answer(message_of({"type": "subscribe", "operation": str(operation.pk)}))
        await world.ask(auditor.user_permissions.clear)
        await conversation.welcome(Identity(await world.ask(lambda: user("bob"))))
        await world.tell(operation, "log")
        await world.settle()
    finally:
        await conversation.close()
    assert [frame["type"] for frame in frames] == ["snapshot", "caught_up", "unsubscribed"]


@played
async def test_what_was_taken_back_is_told_when_the_right_comes_back(world: World, alice: Any, auditor: Any) -> None:
    auditor.is_staff = True
    await world.ask(auditor.save)
    operation, client = await world.operation(alice), await world.client(auditor)
    await client.follow("all", None, 0)
    await world.settle()
    client.block()
    await world.tell(operation, "log", 20)
    permissions = await world.ask(lambda: list(auditor.user_permissions.all()))
    for granted in ([], permissions):
        await world.ask(auditor.user_permissions.set, granted)
        await client.follower.review(await world.ask(lambda: Rights.of(user("bob"))))
        await world.tell(operation, "log")
    client.release()
    await world.settle()
    assert client.told() == list(range(1, 24))


class Broken:
    """Raises at the calls that it is told of, and does what it stands for at all others."""

    def __init__(self, whole: Any, *calls: int) -> None:
        self._whole, self._calls, self.count = whole, calls, 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.count += 1
        if self.count in self._calls:
            raise OperationalError("the connection is lost")
        return self._whole(*args, **options)


@pytest.mark.parametrize("calls", [(1,), (2,), (1, 2), (2, 4)])
@played
async def test_a_lost_connection_in_the_middle_of_a_catch_up_repeats_nothing(
    world: World, alice: Any, calls: tuple[int, ...]
) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await world.append(operation, "log", 1_200)
    with mock.patch.object(records, "after_of", Broken(records.after_of, *calls)) as broken:
        await client.follow("operation", operation, 0)
        await world.settle()
    assert broken.count > max(calls)
    assert client.told() == list(range(1, 1_202))


@pytest.mark.parametrize("after", [None, 0])
@played
async def test_a_lost_connection_in_the_middle_of_a_join_repeats_nothing(
    world: World, alice: Any, after: int | None
) -> None:
    operations, client = [await world.operation(alice) for _ in range(3)], await world.client(alice)
    broken_rows, broken_events = Broken(Target.rows, 1), Broken(records.after_of, 2)
    with (
        mock.patch.object(Target, "rows", lambda *args: broken_rows(*args)),
        mock.patch.object(records, "after_of", broken_events),
    ):
        await client.follow("mine", None, after)
        for operation in operations:
            await world.tell(operation, "log")
        await world.settle()
    for operation in operations:
        assert client.told(operation) == ([1, 2] if after == 0 else [2])


@played
async def test_a_lost_connection_of_the_hub_is_made_good_without_another_hint(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.settle()
    with mock.patch.object(records, "after", Broken(records.after, 1)):
        await world.tell(operation, "log")
        await world.settle()
    assert client.told() == [1, 2]


@pytest.mark.parametrize("after", [None, 0])
@played
async def test_who_comes_just_before_the_hint_does_not_keep_the_news_from_the_others(
    world: World, alice: Any, after: int | None
) -> None:
    operation, first, second = await world.operation(alice), await world.client(alice), await world.client(alice)
    await first.follow("operation", operation, 0)
    await world.settle()
    await world.append(operation, "succeeded")
    await second.follow("operation", operation, after)
    await until(lambda: second.named("caught_up"))
    await world.settle()
    assert first.told() == [1, 2]
    assert second.told() == ([1, 2] if after == 0 else [])


@played
async def test_rows_are_read_once_and_encoded_once_for_all_who_follow(world: World, alice: Any, auditor: Any) -> None:
    operation = await world.operation(alice)
    clients: list[Client] = [await world.client(who) for who in [alice] * 20 + [auditor] * 5]
    for client in clients:
        await client.follow("operation", operation, 0)
    await world.settle()
    with (
        mock.patch.object(records, "after", wraps=records.after) as reads,
        mock.patch.object(records, "after_of", wraps=records.after_of) as catch_ups,
        mock.patch.object(payloads, "event", wraps=payloads.event) as events,
        mock.patch.object(payloads, "operation_of", wraps=payloads.operation_of) as resources,
    ):
        await world.append(operation, "log", 9)
        await world.tell(operation, "resumed")
        await world.settle()
    assert all(client.told() == list(range(1, 12)) for client in clients)
    assert (reads.call_count, catch_ups.call_count) == (1, 0)
    assert events.call_count == 10
    assert resources.call_count == 2  # once for who may do everything to it, once for who may only see it


@played
async def test_a_late_hint_brings_nothing_twice(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.append(operation, "log", 3)
    hints = list(world.hints)
    await world.settle()
    hub().hear(reversed(hints * 2))
    await world.settle()
    assert client.told() == [1, 2, 3, 4]


@played
async def test_a_client_that_says_that_it_lacks_some_is_told_them_again(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    await world.tell(operation, "log", 4)
    await world.settle()
    client.follower.heal({str(operation.pk): 5})
    client.follower.heal({str(operation.pk): 3})
    await world.settle()
    assert client.told() == [1, 2, 3, 4, 5, 4, 5]


@played
async def test_the_floor_poll_looks_as_far_back_as_to_its_last_turn(world: World, alice: Any, settings: Any) -> None:
    settings.LRO = {**settings.LRO, "FLOOR_POLL_SECONDS": 0.1}
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("operation", operation, 0)
    hub()._polled_at -= 100  # the database was away
    await world.append(operation, "log")
    a_minute_ago = Now() - timedelta(seconds=60)
    await world.ask(Operation.objects.filter(pk=operation.pk).update, updated_at=a_minute_ago)
    await until(lambda: client.told() == [1, 2])


@played
async def test_a_retry_long_after_the_end_is_told_from_there_on(world: World, alice: Any) -> None:
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("mine", None, 0)
    await world.tell(operation, "failed")
    await world.settle()
    hub()._forget_ended()
    await world.tell(operation, "retry.scheduled")
    await world.settle()
    assert client.told() == [1, 2, 3]


@played
async def test_what_ended_before_many_others_is_forgotten(
    world: World, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "_REMEMBERED", 1)
    operations, client = [await world.operation(alice) for _ in range(3)], await world.client(alice)
    await client.follow("mine", None, 0)
    for operation in operations:
        await world.tell(operation, "succeeded")
    await world.settle()
    hub()._forget_ended()
    assert list(client.follower.cursors) == [str(operations[-1].pk)]
    assert hub().told(str(operations[0].pk)) == 0


@played
async def test_what_ended_is_not_forgotten_while_a_client_has_not_heard_it(
    world: World, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "_REMEMBERED", 0)
    operation, client = await world.operation(alice), await world.client(alice)
    await client.follow("mine", None, 0)
    await world.settle()
    client.block()
    await world.tell(operation, "log", 600)
    await world.tell(operation, "succeeded")
    hub()._forget_ended()
    client.release()
    await world.settle()
    assert client.told() == list(range(1, 603))


@played
async def test_a_stream_that_cannot_begin_ends_so_that_its_client_comes_again(world: World, alice: Any) -> None:
    operation, request = await world.operation(alice), SimpleNamespace(user=alice, auth=None)
    with mock.patch.object(Conversation, "welcome", side_effect=OperationalError):
        async with asyncio.timeout(60):
            told = [piece async for piece in live._stream(request, operation.pk, 0)]  # type: ignore[arg-type]
    assert told == [b"retry: 1000\n\n"]
