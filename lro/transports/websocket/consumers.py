"""A WebSocket carries a conversation: one socket, many operations (contract, section 5)."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from .. import tokens
from ..conversation import FORBIDDEN_ORIGIN, Conversation, Ended
from ..frames import Frame
from ..messages import Refused, parse
from ..records import read


class OperationsConsumer(AsyncWebsocketConsumer):
    """`/ws/operations/`."""

    channel_layer_alias = None  # type: ignore[assignment]  # the hub listens once for all; a consumer needs no channel

    async def connect(self) -> None:
        self._conversation = Conversation(self._send, self._end)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        offers = tokens.PROTOCOL in scope.get("subprotocols", [])
        # A browser is told no reason where it is refused before: accept, say why, close.
        await self.accept(subprotocol=tokens.PROTOCOL if offers else None)
        try:
            await self._begin(scope)
        except Ended as ended:
            await self._end(ended)

    async def _begin(self, scope: dict[str, Any]) -> None:
        if not tokens.is_trusted_origin(scope):
            raise Ended(FORBIDDEN_ORIGIN, "forbidden_origin", "This origin may not open a socket here.")
        if token := tokens.offered(scope):
            await self._send(await self._conversation.authenticate(token))
        elif identity := await read(tokens.by_session, scope) if tokens.is_from_browser(scope) else None:
            await self._send(await self._conversation.welcome(identity))
        else:
            self._conversation.await_authentication()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            self._conversation.count()
            answer = await self._conversation.answer(parse(text_data))
        except Refused as refused:
            answer = refused.as_frame()
        except Ended as ended:
            return await self._end(ended)
        if answer is not None:
            await self._send(answer)

    async def disconnect(self, code: int) -> None:
        await self._conversation.close()

    async def _send(self, frame: Frame) -> None:
        await self.base_send({"type": "websocket.send", "text": frame.text})  # type: ignore[arg-type]

    async def _end(self, ended: Ended) -> None:
        """Say why in a frame before the close, as a browser shows no reason of its own."""
        await self._send(ended.reason.as_frame())
        await self.close(code=ended.close_code, reason=ended.reason.code)
