"""Does what the steps ask for, on an event loop."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from .bodies import opened, receiving
from .calls import Calls
from .connection import Address, lost, request_arguments, socket_arguments, tls_arguments
from .effects import Answer, Close, Effect, Give, Hear, Lost, Open, Renew, Say, Send, Sleep, Steps, Walk, within
from .errors import Unreachable

Returned = TypeVar("Returned")


class Socket:
    """The socket of one stream."""

    def __init__(self, address: Address, context: ssl.SSLContext | None) -> None:
        self._address, self._tls = address.socket, tls_arguments(address, context)
        self._link: ClientConnection | None = None
        self._resources = AsyncExitStack()

    async def open(self, effect: Open) -> None:
        await self.close()
        arguments = socket_arguments(effect.token, effect.seconds) | self._tls
        try:
            self._link = await self._resources.enter_async_context(connect(self._address, **arguments))
        except (OSError, WebSocketException) as error:
            raise lost(error) from error

    async def say(self, effect: Say) -> None:
        try:
            await self._opened().send(json.dumps(effect.frame))
        except (OSError, WebSocketException) as error:
            raise lost(error) from error

    async def hear(self, effect: Hear) -> str | None:
        try:
            async with asyncio.timeout(effect.seconds):
                return await self._opened().recv(decode=True)
        except TimeoutError:
            return None
        except (OSError, WebSocketException, UnicodeDecodeError) as error:
            raise lost(error) from error

    def _opened(self) -> ClientConnection:
        if self._link is None:
            raise Lost
        return self._link

    async def close(self) -> None:
        self._link = None
        await self._resources.aclose()


class Driver:
    def __init__(self, address: Address, calls: Calls, context: ssl.SSLContext | None) -> None:
        self._address, self._calls, self._context = address, calls, context
        self._http = httpx.AsyncClient(verify=context or True)
        self._renewing = asyncio.Lock()

    async def close(self) -> None:
        await self._http.aclose()

    async def run(self, steps: Steps[Returned]) -> Returned:
        """The result of the steps; what they give on their way is dropped."""
        socket, walk = Socket(self._address, self._context), Walk(steps)
        try:
            for effect in walk:
                try:
                    walk.answer(await self._do(socket, effect))
                except Exception as error:
                    walk.fail(error)
        finally:
            await socket.close()
        return walk.result

    async def iterate(self, steps: Steps[Any]) -> AsyncIterator[Any]:
        """What the steps give; their socket is closed however it ends."""
        socket, walk = Socket(self._address, self._context), Walk(steps)
        try:
            for effect in walk:
                if isinstance(effect, Give):
                    yield effect.value
                    continue
                try:
                    walk.answer(await self._do(socket, effect))
                except Exception as error:
                    walk.fail(error)
        finally:
            await socket.close()

    async def _do(self, socket: Socket, effect: Effect) -> Any:
        match effect:
            case Send():
                return await self._send(effect)
            case Renew():
                return await self._renew(effect)
            case Sleep():
                await asyncio.sleep(effect.seconds)
            case Open():
                await socket.open(effect)
            case Say():
                await socket.say(effect)
            case Hear():
                return await socket.hear(effect)
            case Close():
                await socket.close()
        return None

    async def _renew(self, effect: Renew) -> str:
        async with self._renewing:
            return await self.run(within(self._calls.renew(effect.stale), effect.seconds, self._calls.clock))

    async def _send(self, call: Send) -> Answer:
        try:
            with opened(call.files) as files:
                async with self._http.stream(**request_arguments(self._address, call, files)) as answer:
                    with receiving(call.destination, answer.status_code) as sink:
                        async for chunk in answer.aiter_bytes():
                            sink.write(chunk)
                        return Answer(answer.status_code, answer.headers, sink.finish())
        except httpx.RequestError as error:
            raise Unreachable(f"The server cannot be reached at {self._address.base}: {error}") from error
