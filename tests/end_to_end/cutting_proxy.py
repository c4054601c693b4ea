"""A proxy between a client and the system that cuts connections in the middle of what is sent."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

PIECE = 64 * 1024


class CuttingProxy:
    """Cuts whenever the bytes of all clients together pass one of `cuts`.

    Every second time the server hears nothing of it: its side of the connection stays open and silent. The connection
    on which they pass `stalls_at` stays open at both ends, and nothing more is sent on it.
    """

    def __init__(self, port: int, cuts: Sequence[int] = (), stalls_at: int | None = None) -> None:
        self._target, self._cuts, self._stalls_at = port, sorted(cuts), stalls_at
        self._passed = 0
        self._clients: list[asyncio.StreamWriter] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._silent: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.done = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)  # or megabytes would be under way at any time
        return await asyncio.start_server(self._let_in, sock=listening)

    def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.append(writer)
        self._serving.add(self._loop.create_task(self._serve(reader, writer)))

    async def _end(self) -> None:
        self._loop.remove_reader(self._server.sockets[0])
        await _turn()  # who was being let in is in, which a server that is closed would forget
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for writer in (*self._clients, *self._silent):
            writer.transport.abort()
        await _turn()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server: Any = None
        try:
            back, server = await asyncio.open_connection("127.0.0.1", self._target)
            answering = asyncio.ensure_future(_pass(back, writer))
            try:
                await self._send(reader, server)
            finally:
                answering.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            if server is not None and server not in self._silent:
                server.transport.abort()

    async def _send(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            server.write(piece)
            await server.drain()
            self._passed += len(piece)
            if self._stalls_at is not None and self._passed >= self._stalls_at:
                self._stalls_at = None
                await asyncio.Event().wait()
            if self._cuts and self._passed >= self._cuts[0]:
                self._cuts = [cut for cut in self._cuts if cut > self._passed]
                self.done += 1
                if self.done % 2 == 0:
                    self._silent.append(server)
                return


async def _turn() -> None:
    """Let the loop do what it has begun."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        writer.close()
