"""The Socket.IO server, and how it stands before another ASGI application."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import socketio

from .. import tokens
from ..messages import Refused
from .namespaces import NAMESPACE, OperationsNamespace
from .packets import Packet

#: The library reports as errors what clients do wrong; at INFO it writes down all that they say, tokens too.
logger = logging.getLogger(__name__)
logger.setLevel(logging.CRITICAL)
_MAX_BYTES = 64 * 1024
_PING_SECONDS = 20
_POST_SECONDS = 40


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """Counts every packet, and refuses what is none.

    There is no client manager: the hub of each process hears the hints of all of them.
    """

    def __init__(self) -> None:
        super().__init__(
            async_mode="asgi",
            serializer=Packet,
            namespaces=[NAMESPACE],
            cors_allowed_origins=_is_trusted_origin,
            max_http_buffer_size=_MAX_BYTES,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            logger=logger,
            engineio_logger=logger,
        )
        self.operations = OperationsNamespace()
        self.register_namespace(self.operations)
        self._inner = dict(self.eio.handlers)
        for event, handler in (("connect", self._opened), ("message", self._heard), ("disconnect", self._closed)):
            self.eio.on(event, handler)

    async def handle_request(self, scope: Any, receive: Any, send: Any) -> Any:
        is_post = scope.get("method") == "POST"
        try:
            # The library ends a connection where it is sent too much, and waits for it to take what it had for it.
            async with asyncio.timeout(_POST_SECONDS if is_post else None):
                return await super().handle_request(scope, receive, send)
        except TimeoutError:
            await _answer_bad_request(send)
        except (ValueError, RecursionError):  # the library lets through what an Engine.IO packet may not be
            logger.info("a connection is closed: it sent what is no packet", exc_info=True)
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1002})

    async def _opened(self, connection: str, environ: dict[str, Any]) -> Any:
        self.operations.open(connection)
        return await self._inner["connect"](connection, environ)

    async def _heard(self, connection: str, data: Any) -> None:
        if not await self.operations.count(connection):
            return
        try:
            if not isinstance(data, str) or not data:
                raise ValueError("A packet is text.")
            await self._inner["message"](connection, data)
        except ValueError as error:
            await self.operations.refuse(connection, Refused("bad_frame", f"This is no packet: {error}"))

    async def _closed(self, connection: str, reason: str) -> None:
        await self._inner["disconnect"](connection, reason)
        self.operations.close(connection)


def _is_trusted_origin(origin: str | None, environ: dict[str, Any]) -> bool:
    return tokens.is_trusted_origin(environ["asgi.scope"])


async def _answer_bad_request(send: Any) -> None:
    await send({"type": "http.response.start", "status": 400, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def with_socketio(application: Any) -> Any:
    """ASGI: `/socket.io/` to Socket.IO, all else to the application."""
    return socketio.ASGIApp(Server(), other_asgi_app=application)
