"""Does what the steps ask for, and blocks meanwhile."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Lock
from typing import Any, TypeVar

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

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
        self._resources = ExitStack()

    def open(self, effect: Open) -> None:
        self.close()
        arguments = socket_arguments(effect.token, effect.seconds) | self._tls
        try:
            self._link = self._resources.enter_context(connect(self._address, **arguments))
        except (OSError, WebSocketException) as error:
            raise lost(error) from error

    def say(self, effect: Say) -> None:
        try:
            self._opened().send(json.dumps(effect.frame))
        except (OSError, WebSocketException) as error:
            raise lost(error) from error

    def hear(self, effect: Hear) -> str | None:
        try:
            return self._opened().recv(timeout=effect.seconds, decode=True)
        except TimeoutError:
            return None
        except (OSError, WebSocketException, UnicodeDecodeError) as error:
            raise lost(error) from error

    def _opened(self) -> ClientConnection:
        if self._link is None:
            raise Lost
        return self._link

    def close(self) -> None:
        self._link = None
        self._resources.close()


class Driver:
    def __init__(self, address: Address, calls: Calls, context: ssl.SSLContext | None) -> None:
        self._address, self._calls, self._context = address, calls, context
        self._http = httpx.Client(verify=context or True)
        self._renewing = Lock()

    def close(self) -> None:
        self._http.close()

    def run(self, steps: Steps[Returned]) -> Returned:
        """The result of the steps; what they give on their way is dropped."""
        socket, walk = Socket(self._address, self._context), Walk(steps)
        try:
            for effect in walk:
                try:
                    walk.answer(self._do(socket, effect))
                except Exception as error:
                    walk.fail(error)
        finally:
            socket.close()
        return walk.result

    def iterate(self, steps: Steps[Any]) -> Iterator[Any]:
        """What the steps give; their socket is closed however it ends."""
        socket, walk = Socket(self._address, self._context), Walk(steps)
        try:
            for effect in walk:
                if isinstance(effect, Give):
                    yield effect.value
                    continue
                try:
                    walk.answer(self._do(socket, effect))
                except Exception as error:
                    walk.fail(error)
        finally:
            socket.close()

    def _do(self, socket: Socket, effect: Effect) -> Any:
        match effect:
            case Send():
                return self._send(effect)
            case Renew():
                return self._renew(effect)
            case Sleep():
                time.sleep(effect.seconds)
            case Open():
                socket.open(effect)
            case Say():
                socket.say(effect)
            case Hear():
                return socket.hear(effect)
            case Close():
                socket.close()
        return None

    def _renew(self, effect: Renew) -> str:
        with self._renewing:
            return self.run(within(self._calls.renew(effect.stale), effect.seconds, self._calls.clock))

    def _send(self, call: Send) -> Answer:
        try:
            with (
                opened(call.files) as files,
                self._http.stream(**request_arguments(self._address, call, files)) as answer,
                receiving(call.destination, answer.status_code) as sink,
            ):
                for chunk in answer.iter_bytes():
                    sink.write(chunk)
                return Answer(answer.status_code, answer.headers, sink.finish())
        except httpx.RequestError as error:
            raise Unreachable(f"The server cannot be reached at {self._address.base}: {error}") from error
