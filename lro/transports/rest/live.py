"""Requests that are held open until there is news: long-poll, `Prefer: wait`, server-sent events.

The views answer as ever; what is held keeps no database connection meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import update_wrapper
from typing import Any
from uuid import UUID

import orjson
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.response import Response

from ...exceptions import Problem
from .. import access, payloads
from ..access import Rights
from ..conversation import Conversation, Ended
from ..following import Follower
from ..frames import EventFrame, Frame
from ..messages import Refused, message_of
from ..records import Target, read
from ..tokens import Identity
from . import errors, views

logger = logging.getLogger(__name__)

_MOST_SECONDS, _MOST_SECONDS_AT_START = 30.0, 5.0
_EVENT_STREAM = "text/event-stream"
#: A proxy ends a stream on which nothing comes for long.
_COMMENT_SECONDS = 15.0
_RETRY = b"retry: 1000\n\n"

_operation = views.OperationView.as_view()
_events = views.EventListView.as_view()
_start = views.StartView.as_view()


def _like(view: Any) -> Callable[[Any], Any]:
    """What Django and the OpenAPI document know of the view, they know of what holds it too."""
    return lambda function: update_wrapper(function, view, assigned=())


@_like(_operation)
async def operation(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The operation; with `?wait=25` as soon as it is another than `If-None-Match` names, else when it is done."""
    if request.method != "GET" or "wait" not in request.GET:
        return await sync_to_async(_operation)(request, pk=pk)
    try:
        seconds = _seconds(request)
    except Problem as problem:
        return errors.as_response(problem, request)
    answer = await read(_operation, request, pk=pk)
    is_over = answer.status_code not in (200, 304) or "Retry-After" not in answer
    if is_over or (answer.status_code == 200 and "If-None-Match" in request.headers):
        return answer
    known = int(answer["ETag"].strip('"').rpartition(":")[2])
    await _hold(request, pk, known, seconds, _is_ending if answer.status_code == 200 else _is_anything)
    return await read(_operation, request, pk=pk)


@_like(_events)
async def events(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """A page of events; with `?wait=25` as soon as there is one; as a stream where the client accepts that."""
    is_stream = _EVENT_STREAM in request.headers.get("Accept", "")
    if request.method != "GET" or not (is_stream or "wait" in request.GET):
        return await sync_to_async(_events)(request, pk=pk)
    try:
        after, seconds = _after(request), _seconds(request)
    except Problem as problem:
        return errors.as_response(problem, request)
    answer = await read(_events, request, pk=pk)
    if answer.status_code != 200 or (not is_stream and (answer.data["results"] or answer.data["done"])):
        return answer
    if is_stream:
        return _stream_of(request, pk, after, answer.data)
    await _hold(request, pk, after, seconds, _is_anything)
    return await read(_events, request, pk=pk)


@_like(_start)
async def start(request: HttpRequest, module: str, operation: str) -> HttpResponseBase:
    """Start an operation; with `Prefer: wait=5` the answer comes when it is done, or after that time."""
    seconds = _preferred_seconds(request)
    view: Callable[..., Awaitable[Response]] = sync_to_async(_start)
    if not seconds:
        return await view(request, module=module, operation=operation)
    answer: Response = await read(_start, request, module=module, operation=operation)
    if answer.status_code in (200, 202) and not answer.data.get("done", True):
        await _hold(request, UUID(answer.data["id"]), answer.data["sequence"], seconds, _is_ending)
        answer.data = await read(_resource, request.user, answer.data["id"])
        answer["Preference-Applied"] = f"wait={seconds:g}"
    return answer


def _resource(user: Any, pk: str) -> dict[str, Any]:
    return payloads.operation(access.visible_operation(user, pk), user)


async def _hold(request: HttpRequest, pk: UUID, after: int, seconds: float, is_enough: Callable[[Frame], bool]) -> None:
    """Wait for an event after this sequence."""
    heard = asyncio.Event()

    async def hear(frame: Frame) -> None:
        if is_enough(frame):
            heard.set()

    follower = Follower(await read(Rights.of, request.user), hear)
    follower.start()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await follower.subscribe(Target("operation", str(pk)), after)
                await heard.wait()
    finally:
        await follower.stop()


def _is_anything(frame: Frame) -> bool:
    return frame.type != "caught_up"


def _is_ending(frame: Frame) -> bool:
    return frame.type in ("gap", "snapshot") or (isinstance(frame, EventFrame) and frame.is_last)


# Server-sent events (HTML Living Standard, section 9.2)


def _stream_of(request: HttpRequest, pk: UUID, after: int, page: dict[str, Any]) -> HttpResponseBase:
    if page["done"] and not page["results"]:
        return HttpResponse(status=204)  # an EventSource comes back for ever, unless it is told that this was all
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(_stream(request, pk, after), content_type=_EVENT_STREAM, headers=headers)


async def _stream(request: HttpRequest, pk: UUID, after: int) -> AsyncIterator[bytes]:
    told: asyncio.Queue[Frame | None] = asyncio.Queue(maxsize=1)

    async def end(ended: Ended) -> None:
        await told.put(ended.reason.as_frame())
        await told.put(None)

    conversation = Conversation(told.put, end)
    asking = asyncio.create_task(_ask(conversation, Identity.of_request(request), told, pk, after))
    try:
        yield _RETRY
        while (frame := await _next(told)) is not None:
            yield frame if isinstance(frame, bytes) else _record(frame)
            if _is_over(frame):
                return
    finally:
        asking.cancel()
        await conversation.close()


def _is_over(frame: Frame | bytes) -> bool:
    """Nothing can come after it: the operation has ended, or may no longer be followed."""
    if isinstance(frame, EventFrame):
        return frame.is_last
    if isinstance(frame, bytes):
        return False
    return frame.type == "unsubscribed" or (frame.type == "snapshot" and bool(frame.body["operation"]["done"]))


async def _ask(
    conversation: Conversation, identity: Identity, told: asyncio.Queue[Frame | None], pk: UUID, after: int
) -> None:
    message = message_of({"type": "subscribe", "operation": str(pk), "after": after})
    try:
        await conversation.welcome(identity)
        await conversation.answer(message)
    except Refused as refused:
        await told.put(refused.as_frame())
        await told.put(None)
    except Exception:  # its client comes back, and asks again
        logger.warning("a stream of events could not begin", exc_info=True)
        await told.put(None)


async def _next(told: asyncio.Queue[Frame | None]) -> Frame | bytes | None:
    try:
        async with asyncio.timeout(_COMMENT_SECONDS):
            return await told.get()
    except TimeoutError:
        return b": \n\n"


def _record(frame: Frame) -> bytes:
    """An event is the event resource under its sequence; what else there is to say has a name.

    A snapshot comes in place of what the client was too slow for, so who resumes goes on after it.
    """
    if not isinstance(frame, EventFrame):
        place = b"id: %d\n" % frame.body["operation"]["sequence"] if frame.type == "snapshot" else b""
        return b"%sevent: %s\ndata: %s\n\n" % (place, frame.type.encode(), frame.json)
    data = frame.event_json
    if frame.merged:
        data = orjson.dumps({**orjson.loads(data), "merged": frame.merged})
    return b"id: %d\ndata: %s\n\n" % (frame.sequence, data)


# What was asked for


def _seconds(request: HttpRequest) -> float:
    text = request.GET.get("wait", "0")
    if not text.isdecimal() or len(text) > 9:
        message = f"'wait' is a whole number of seconds, not '{text[:40]}'."
        raise Problem(400, "invalid", message, [{"parameter": "wait", "message": message}])
    return min(float(text), _MOST_SECONDS)


def _after(request: HttpRequest) -> int:
    name = "Last-Event-ID" if "Last-Event-ID" in request.headers else "after"
    text = request.headers.get("Last-Event-ID", request.GET.get("after", "0"))
    if not text.isdecimal() or len(text) > 18:
        message = f"'{name}' is the sequence of an event, not '{text[:40]}'."
        raise Problem(400, "invalid", message, [{"parameter": name, "message": message}])
    return int(text)


def _preferred_seconds(request: HttpRequest) -> float:
    found = re.search(r"(?:^|[,;\s])wait=(\d{1,9})", request.headers.get("Prefer", ""))
    return min(float(found[1]), _MOST_SECONDS_AT_START) if found else 0.0
