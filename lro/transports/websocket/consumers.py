"""One socket, many operations: who is there, what they say, and what they are told."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model
from django.http import Http404
from rest_framework.exceptions import AuthenticationFailed

from ...exceptions import NotAllowedNow
from .. import access, payloads
from ..following import Follower, read
from . import authentication
from .authentication import Identity
from .messages import VERBS, Message, Refused, parse

logger = logging.getLogger(__name__)

NOT_AUTHENTICATED, FORBIDDEN_ORIGIN, NO_AUTHENTICATION, TOO_MUCH = 4401, 4403, 4408, 4429
_AUTHENTICATION_SECONDS = 10
_WARNING_SECONDS = 60
_REVIEW_SECONDS = 60
_SUBSCRIPTIONS = 50
_FRAMES, _FRAMES_PER_SECOND = 100, 100 / 60


class OperationsConsumer(AsyncWebsocketConsumer):
    """`/ws/operations/`, contract section 5."""

    async def connect(self) -> None:
        self._follower: Follower | None = None
        self._watch: asyncio.Task[None] | None = None
        self._allowance, self._allowed_at = float(_FRAMES), time.monotonic()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        offers = authentication.PROTOCOL in scope.get("subprotocols", [])
        await self.accept(subprotocol=authentication.PROTOCOL if offers else None)
        if not authentication.is_trusted_origin(scope):
            await self._end(FORBIDDEN_ORIGIN, "forbidden_origin", "This origin may not open a socket here.")
        elif token := authentication.offered_token(scope):
            await self._authenticate(token)
        elif authentication.is_from_browser(scope) and scope["user"].is_authenticated:
            await self._welcome(Identity(scope["user"]))
        else:
            self._watch = asyncio.create_task(self._await_authentication())

    async def disconnect(self, code: int) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._follower is not None:
            await self._follower.stop()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self._is_within_rate():
            await self._end(TOO_MUCH, "too_many_frames", "At most 100 frames a minute.")
            return
        try:
            await self._answer(parse(text_data))
        except Refused as refused:
            await self._send(refused.as_frame())
        except Exception:  # a frame never ends the stream
            logger.exception("a frame could not be answered")
            await self._send(Refused("server_error", "The server could not do this.").as_frame())

    # Who is there

    async def _await_authentication(self) -> None:
        await asyncio.sleep(_AUTHENTICATION_SECONDS)
        await self._end(NO_AUTHENTICATION, "no_authentication", "No token came within 10 seconds.")

    async def _authenticate(self, token: str) -> None:
        try:
            identity = await read(authentication.by_token, token)
        except AuthenticationFailed:
            await self._end(NOT_AUTHENTICATED, "not_authenticated", "The token is not valid, or has expired.")
            return
        if self._follower is not None and self._follower.user.pk != identity.user.pk:
            await self._end(NOT_AUTHENTICATED, "other_user", "The token is another user's.")
            return
        await self._welcome(identity)

    async def _welcome(self, identity: Identity) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._follower is None:
            self._follower = Follower(identity.user, self._send)
            await self._follower.start()
        self._follower.user = identity.user
        self._watch = asyncio.create_task(self._watch_over(identity))
        ready = {
            "type": "ready",
            "user": identity.user.get_username(),
            "expires_at": payloads.time(identity.expires_at),
        }
        await self._send(ready)

    async def _watch_over(self, identity: Identity) -> None:
        """Check the user's rights again and again, warn before the token expires, and close when it has."""
        is_warned = False
        while True:
            left = _seconds_left(identity)
            if left <= 0:
                await self._end(NOT_AUTHENTICATED, "token_expired", "The token has expired.")
                return
            if left <= _WARNING_SECONDS and not is_warned:
                is_warned = True
                await self._send({"type": "token_expiring", "expires_at": payloads.time(identity.expires_at)})
            await asyncio.sleep(min(_REVIEW_SECONDS, left if is_warned else max(1.0, left - _WARNING_SECONDS)))
            user = await read(get_user_model().objects.filter(pk=identity.user.pk, is_active=True).first)
            if user is None:
                await self._end(NOT_AUTHENTICATED, "not_authenticated", "The account is no longer active.")
                return
            if self._follower is not None:
                self._follower.user = user

    # What they say

    async def _answer(self, message: Message) -> None:
        if message.type == "authenticate":
            await self._authenticate(message.token())
            return
        if self._follower is None:
            raise message.refuse("not_authenticated", "Send 'authenticate' with a token first.")
        if message.type in VERBS:
            await self._act(self._follower, message)
        else:
            await getattr(self, f"_{message.type}")(self._follower, message)

    async def _subscribe(self, follower: Follower, message: Message) -> None:
        target, after = message.target(), message.after()
        if target.kind == "all" and not follower.user.is_staff:
            raise message.refuse("not_found", "Only staff may follow all operations.")
        if len(follower.targets) >= _SUBSCRIPTIONS and target not in follower.targets:
            raise message.refuse("too_many_subscriptions", f"At most {_SUBSCRIPTIONS} subscriptions on one socket.")
        if not await follower.subscribe(target, after):
            raise message.refuse("not_found", f"There is no such operation: {target.id}.")

    async def _unsubscribe(self, follower: Follower, message: Message) -> None:
        target = message.target()
        follower.unsubscribe(target)
        await self._send({"type": "unsubscribed", **target.as_frame()})

    async def _ping(self, follower: Follower, message: Message) -> None:
        """Answer, and send again what the client says that it lacks."""
        behind = [key for key, sequence in message.sequences().items() if follower.cursors.get(key, 0) > sequence]
        for key in behind:
            follower.cursors[key] = message.sequences()[key]
        follower.look(list(message.sequences()))
        await self._send({"type": "pong"})

    async def _act(self, follower: Follower, message: Message) -> None:
        try:
            row = await read(lambda: access.act(follower.user, message.type, message.operation()))
        except Http404:
            raise message.refuse("not_found", "There is no such operation.") from None
        except NotAllowedNow as error:
            raise message.refuse(error.code, error.message) from None
        answer = {
            "type": "acknowledged",
            "request_id": message.request_id,
            "operation": payloads.operation(row, follower.user),
        }
        await self._send(answer)

    # What they are told

    async def _send(self, frame: dict[str, Any]) -> None:
        await self.send(text_data=orjson.dumps(frame).decode())

    async def _end(self, code: int, name: str, message: str) -> None:
        """Say why in a frame before the close, as a browser shows no reason of its own."""
        await self._send(Refused(name, message).as_frame())
        await self.close(code=code, reason=name)

    def _is_within_rate(self) -> bool:
        now = time.monotonic()
        self._allowance = min(_FRAMES, self._allowance + (now - self._allowed_at) * _FRAMES_PER_SECOND)
        self._allowed_at = now
        self._allowance -= 1
        return self._allowance >= 0


def _seconds_left(identity: Identity) -> float:
    if identity.expires_at is None:
        return float(_REVIEW_SECONDS * 2)
    return (identity.expires_at - datetime.now(UTC)).total_seconds()
