"""A WebSocket client that costs next to nothing, so that thousands of them measure the server and not themselves."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable

Hear = Callable[[bytes], None]


class Socket(asyncio.Protocol):
    """Speaks as much of RFC 6455 as a reader of text frames needs; `hear` gets each payload."""

    def __init__(self, path: str, protocols: list[str], hear: Hear) -> None:
        self._path, self._protocols, self._hear = path, protocols, hear
        self._buffer = b""
        self._is_open = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        lines = [
            f"GET {self._path} HTTP/1.1",
            "Host: 127.0.0.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
        ]
        if self._protocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(self._protocols)}")
        transport.write("\r\n".join([*lines, "", ""]).encode())

    def send(self, text: str) -> None:
        payload, mask = text.encode(), os.urandom(4)
        assert len(payload) < 126
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._transport.write(bytes([0x81, 0x80 | len(payload)]) + mask + masked)

    def close(self) -> None:
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionResetError("closed before it was open"))

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_open:
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._is_open = True
            self.opened.set_result(None)
        self._frames()

    def _frames(self) -> None:
        data, at = self._buffer, 0
        while len(data) - at >= 2:
            size, start = data[at + 1] & 0x7F, at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if len(data) < start + size:
                break
            opcode = data[at] & 0x0F
            if opcode == 1:
                self._hear(data[start : start + size])
            elif opcode == 9:
                self._transport.write(bytes([0x8A, 0x80 | size]) + bytes(4) + data[start : start + size])
            at = start + size
        self._buffer = data[at:]


async def open_socket(port: int, path: str, protocols: list[str], hear: Hear) -> Socket:
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(lambda: Socket(path, protocols, hear), "127.0.0.1", port)
    await socket.opened
    return socket
