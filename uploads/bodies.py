"""The body of a request as it arrives, so that what came before a cut is kept.

Under ASGI Django spools a whole body before a view runs. `leave_body` hands the body of an upload's request to its view
instead; without it, as under WSGI, the view reads what was spooled, and a request that is cut off leaves nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from asgiref.sync import sync_to_async
from django.urls import reverse

from .receiving import App, Scope

PIECE_BYTES = 1024 * 1024
#: The reader is given what there is after so long, for it may have something else to do.
SILENCE_SECONDS = 0.5
_KEY = "uploads.receive"


def leave_body(app: App, *, others: App) -> App:
    """ASGI: the requests of resumable uploads reach their view in `app` with the body still to be received.

    All else goes to `others`.
    """

    async def leaving(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(reverse("resumable-uploads")):
            await app({**scope, _KEY: receive}, _no_body(), send)
        else:
            await others(scope, receive, send)

    return leaving


def _no_body() -> Any:
    is_told = False

    async def receive() -> dict[str, Any]:
        nonlocal is_told
        if is_told:  # the view itself hears of a disconnect
            await asyncio.Event().wait()
        is_told = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


class Body:
    """Read it piece by piece; `is_whole` tells whether its end came, or the connection's."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._receive: Any = getattr(request, "scope", {}).get(_KEY)
        self._receiving: asyncio.Future[dict[str, Any]] | None = None
        self._is_over = False
        self.is_whole = False

    async def read(self) -> bytes | None:
        """About `PIECE_BYTES`, or what came within half a second, perhaps nothing; None at the end."""
        if self._is_over:
            return None
        if self._receive is None:
            piece: bytes = await sync_to_async(self._request.read)(PIECE_BYTES)
            self._is_over = self.is_whole = not piece
            return piece or None
        held, until = bytearray(), time.monotonic() + SILENCE_SECONDS
        while not self._is_over and len(held) < PIECE_BYTES:
            message = await self._next_message(until - time.monotonic())
            if message is None:
                break
            held += message.get("body", b"")
            self._is_over = not message.get("more_body", False)
            self.is_whole = self._is_over and message["type"] == "http.request"
        return bytes(held)

    async def _next_message(self, seconds: float) -> dict[str, Any] | None:
        """None where none came in time; it is waited for further."""
        self._receiving = self._receiving or asyncio.ensure_future(self._receive())
        done, _ = await asyncio.wait({self._receiving}, timeout=max(0.0, seconds))
        if not done:
            return None
        message, self._receiving = self._receiving.result(), None
        return message

    def close(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
