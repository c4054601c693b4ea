"""Socket.IO carries a conversation: the namespace `/operations` (contract, section 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from socketio import AsyncNamespace
from socketio.exceptions import ConnectionRefusedError

from ..conversation import Conversation, Ended
from ..frames import Frame
from ..messages import Message, Refused, message_of
from .packets import content, event

NAMESPACE = "/operations"
#: Packets that wait for one client; whoever has more for it waits, too.
MOST_WAITING = 64


class OperationsNamespace(AsyncNamespace):  # type: ignore[misc]
    """A conversation for each Engine.IO connection, known by its id: from its first packet on, each one counts.

    The connection has to enter the namespace with a token soon, and again soon after it left.
    """

    def __init__(self) -> None:
        super().__init__(NAMESPACE)
        self._conversations: dict[str, Conversation] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # The connection

    def open(self, connection: str) -> None:
        """Begin a conversation."""

        async def send(frame: Frame) -> None:
            await self._send(connection, frame)

        async def end(ended: Ended) -> None:
            await self._end(connection, ended)

        self._conversations[connection] = Conversation(send, end)
        self._conversations[connection].await_authentication()

    def close(self, connection: str) -> None:
        """The connection is gone."""
        if conversation := self._conversations.pop(connection, None):
            # Not here: the conversation itself may be what ended it, and would be cancelled half-way.
            self._start(conversation.close())

    async def count(self, connection: str) -> bool:
        """One more packet came; False where the connection is no longer listened to."""
        conversation = self._conversations.get(connection)
        if conversation is None:
            return False
        try:
            conversation.count()
        except Ended as ended:
            await self._end(connection, ended)
            return False
        return True

    async def refuse(self, connection: str, refused: Refused) -> None:
        """Say so to a client whose packet could not be read, so that there is nothing to acknowledge."""
        await self._emit(connection, refused.as_frame())

    # What the library calls

    async def trigger_event(self, name: str, sid: str, *arguments: Any) -> Any:
        connection = self.server.manager.eio_sid_from_sid(sid, NAMESPACE)
        if connection not in self._conversations:
            return None
        if name == "connect":
            return await self._connect(connection, arguments[-1])
        if name == "disconnect":
            self.close(connection)
            return self.open(connection)
        return content(await self._answer(connection, name, arguments))

    async def _connect(self, connection: str, auth: Any) -> None:
        message = Message("authenticate", auth if isinstance(auth, dict) else {})
        try:
            ready = await self._conversations[connection].answer(message)
        except (Refused, Ended) as error:
            reason = error.reason if isinstance(error, Ended) else error
            data = {"code": reason.code, "message": reason.message}
            raise ConnectionRefusedError(reason.message, data) from None
        if ready is not None:
            self._start(self._emit(connection, ready))  # in its turn: the client is connected when this returns

    async def _answer(self, connection: str, name: str, arguments: tuple[Any, ...]) -> Frame:
        try:
            message = _message(name, arguments)
            answer = await self._conversations[connection].answer(message)
        except Refused as refused:
            return refused.as_frame()
        except Ended as ended:
            self._start(self._end(connection, ended))  # in its turn: after this answer
            return ended.reason.as_frame()
        return answer or Frame("subscribed", message.about)

    # What the client is told

    async def _send(self, connection: str, frame: Frame) -> None:
        """Wait while much is waiting for the client, so that its follower merges, or leaves a gap."""
        socket = self.server.eio.sockets.get(connection)
        if socket is not None and socket.queue.qsize() >= MOST_WAITING:
            await socket.queue.join()
        await self._emit(connection, frame)

    async def _emit(self, connection: str, frame: Frame) -> None:
        if self.server.manager.sid_from_eio_sid(connection, NAMESPACE):
            await self.server.eio.send(connection, event(frame, NAMESPACE))  # `emit` makes two tasks of each

    async def _end(self, connection: str, ended: Ended) -> None:
        """Say why, and leave it to the client to close the connection; who is not in the namespace loses it."""
        if sid := self.server.manager.sid_from_eio_sid(connection, NAMESPACE):
            await self._emit(connection, ended.reason.as_frame())
            await self.disconnect(sid)
        elif socket := self.server.eio.sockets.get(connection):
            await socket.close(wait=False)  # it may never read again
            await socket.queue.put(None)  # ends the writer, and with it a WebSocket whose client stays on

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _message(name: str, arguments: tuple[Any, ...]) -> Message:
    """The message that the WebSocket's frame would be. Raises `Refused`."""
    if len(arguments) > 1 or not all(isinstance(argument, dict) for argument in arguments):
        raise Refused("bad_frame", "An event has one payload, a JSON object.")
    return message_of({**(arguments[0] if arguments else {}), "type": name})
