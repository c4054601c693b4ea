"""What one client says and is told, whatever carries it: who is there, what they ask, what they may."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from django.http import Http404
from rest_framework.exceptions import AuthenticationFailed

from ..conf import conf
from ..exceptions import NotAllowedNow
from . import access, payloads, tokens
from .access import Rights
from .following import Follower
from .frames import Frame
from .messages import VERBS, Message, Refused
from .records import read
from .tokens import Identity

logger = logging.getLogger(__name__)

#: Close codes (contract, section 5).
NOT_AUTHENTICATED, FORBIDDEN_ORIGIN, NO_AUTHENTICATION, TOO_MUCH = 4401, 4403, 4408, 4429
_WARNING_SECONDS = 60


class Ended(Exception):
    """The conversation is over: the close code, and why."""

    def __init__(self, close_code: int, code: str, message: str) -> None:
        super().__init__(message)
        self.close_code, self.reason = close_code, Refused(code, message)


class Conversation:
    """One client on one connection. `send` carries a frame to it, `end` tells it why and closes the connection."""

    def __init__(self, send: Callable[[Frame], Awaitable[None]], end: Callable[[Ended], Awaitable[None]]) -> None:
        self._send, self._end = send, end
        self._follower: Follower | None = None
        self._watch: asyncio.Task[None] | None = None
        self._allowance, self._allowed_at = float(conf().socket_frames_per_minute), time.monotonic()

    async def close(self) -> None:
        """The connection is gone."""
        if self._watch is not None and self._watch is not asyncio.current_task():
            self._watch.cancel()
        if self._follower is not None:
            await self._follower.stop()

    # Who is there

    def await_authentication(self) -> None:
        """End the conversation where no token comes soon."""
        self._watch = asyncio.create_task(self._end_without_authentication())

    async def _end_without_authentication(self) -> None:
        seconds = conf().authentication_seconds
        await asyncio.sleep(seconds)
        await self._end(Ended(NO_AUTHENTICATION, "no_authentication", f"No token came within {seconds:g} seconds."))

    async def authenticate(self, token: str) -> Frame:
        """The answer to a token, the first or a renewed one. Raises `Ended`."""
        try:
            identity = await read(tokens.by_token, token)
        except AuthenticationFailed:
            raise Ended(NOT_AUTHENTICATED, "not_authenticated", "The token is not valid, or has expired.") from None
        if self._follower is not None and self._follower.rights.user.pk != identity.user.pk:
            raise Ended(NOT_AUTHENTICATED, "other_user", "The token is another user's.")
        return await self.welcome(identity)

    async def welcome(self, identity: Identity) -> Frame:
        """Begin, or go on, as this user."""
        rights = await read(Rights.of, identity.user)
        if self._follower is None:
            self._follower = Follower(rights, self._send)
            self._follower.start()
        else:  # whoever comes with a new token again and again would put off the regular review for ever
            await self._follower.review(rights)
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.create_task(self._watch_over(self._follower, identity))
        body = {"user": identity.user.get_username(), "expires_at": payloads.time(identity.expires_at)}
        return Frame("ready", body)

    async def _watch_over(self, follower: Follower, identity: Identity) -> None:
        """Warn before the token expires, and end when it has; ask again and again what the user may."""
        is_warned, reviewed_at = False, time.monotonic()
        while (left := _seconds_left(identity)) > 0:
            if left <= _WARNING_SECONDS and not is_warned:
                is_warned = True
                await self._send(Frame("token_expiring", {"expires_at": payloads.time(identity.expires_at)}))
            review_in = reviewed_at + conf().review_seconds - time.monotonic()
            if review_in > 0:
                await asyncio.sleep(min(review_in, left if is_warned else left - _WARNING_SECONDS))
                continue
            reviewed_at = time.monotonic()
            try:
                if not await _review(follower, identity):
                    code, message = "not_authenticated", "The account is no longer active, or its session is over."
                    return await self._end(Ended(NOT_AUTHENTICATED, code, message))
            except Exception:
                logger.warning("the rights of a follower are asked for again", exc_info=True)
        await self._end(Ended(NOT_AUTHENTICATED, "token_expired", "The token has expired."))

    # What they say

    async def answer(self, message: Message) -> Frame | None:
        """Do what the message asks; None where the follower tells the answer in its turn.

        Raises `Ended` where the conversation is over, and `Refused`.
        """
        try:
            return await self._answer(message)
        except (Refused, Ended):
            raise
        except Exception:  # a message never ends the stream
            logger.exception("a message of the type %s could not be answered", message.type)
            raise message.refuse("server_error", "The server could not do this.") from None

    async def _answer(self, message: Message) -> Frame | None:
        if message.type == "authenticate":
            return await self.authenticate(message.token())
        if self._follower is None:
            raise message.refuse("not_authenticated", "Send 'authenticate' with a token first.")
        if message.type in VERBS:
            return await self._act(self._follower, message)
        answers = {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe, "ping": self._ping}
        return await answers[message.type](self._follower, message)

    def count(self) -> None:
        """One more message came, good or bad. Raises `Ended` where they are too many."""
        rate, now = conf().socket_frames_per_minute, time.monotonic()
        self._allowance = min(rate, self._allowance + (now - self._allowed_at) * rate / 60) - 1
        self._allowed_at = now
        if self._allowance < 0:
            raise Ended(TOO_MUCH, "too_many_frames", f"At most {rate} frames a minute.")

    async def _subscribe(self, follower: Follower, message: Message) -> None:
        target, after = message.target(), message.after()
        most = conf().socket_subscriptions
        if target.kind == "all" and not follower.rights.user.is_staff:
            raise message.refuse("not_found", "Only staff may follow all operations.")
        if len(follower.targets) >= most and target not in follower.targets:
            raise message.refuse("too_many_subscriptions", f"At most {most} subscriptions on one socket.")
        if not await follower.subscribe(target, after):
            raise message.refuse("not_found", f"There is no such operation: {target.id}.")

    async def _unsubscribe(self, follower: Follower, message: Message) -> Frame:
        target = message.target()
        follower.unsubscribe(target)
        return Frame("unsubscribed", {**message.about, **target.as_body()})

    async def _ping(self, follower: Follower, message: Message) -> Frame:
        follower.heal(message.sequences())
        return Frame("pong", message.about)

    async def _act(self, follower: Follower, message: Message) -> Frame:
        user, identifier = follower.rights.user, message.operation()
        try:
            row = await read(access.act, user, message.type, identifier, **message.options())
        except Http404:
            raise message.refuse("not_found", "There is no such operation.") from None
        except NotAllowedNow as error:
            raise message.refuse(error.code, error.message) from None
        resource = payloads.operation_of(row, follower.rights.verbs(row.owner_id))
        return Frame("acknowledged", {**message.about, "operation": resource})


async def _review(follower: Follower, identity: Identity) -> bool:
    """Ask anew what its user may; False where they are no longer there."""
    user = await read(identity.reviewed)
    if user is not None:
        await follower.review(await read(Rights.of, user))
    return user is not None


def _seconds_left(identity: Identity) -> float:
    if identity.expires_at is None:
        return float("inf")
    return (identity.expires_at - datetime.now(UTC)).total_seconds()
