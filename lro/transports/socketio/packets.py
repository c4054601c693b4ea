"""What Socket.IO carries here: JSON only, and what we send was encoded before."""

from __future__ import annotations

from typing import Any

import orjson
from socketio import packet

from ..frames import Frame

#: What a client may send. It is never asked for an acknowledgement, and sends no binary data.
_RECEIVED = (packet.CONNECT, packet.DISCONNECT, packet.EVENT)
#: The library calls its own handlers by these names: an event of a client must not.
_RESERVED = ("connect", "disconnect")


class Json:
    """The two functions of a `json` module that packets need."""

    @staticmethod
    def dumps(value: Any, **options: Any) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str) -> Any:
        return orjson.loads(text)


class Packet(packet.Packet):  # type: ignore[misc]
    """The packets of our server; by default its `json` would be that of every server and client in the process."""

    json = Json

    def decode(self, encoded_packet: str) -> int:
        """Raises `ValueError` for what is no packet that a client may send."""
        attachments: int = super().decode(encoded_packet)
        if self.packet_type not in _RECEIVED or attachments:
            raise ValueError("Packets are connections and events, without binary data.")
        if self.packet_type == packet.EVENT and not _is_event(self.data):
            raise ValueError("An event is a list that begins with its name.")
        return attachments


def event(frame: Frame, namespace: str) -> str:
    """The packet that tells a client of the frame."""
    encoded: str = Packet(packet.EVENT, [frame.type, content(frame)], namespace).encode()
    return encoded


def content(frame: Frame) -> orjson.Fragment:
    """The frame for an event or an acknowledgement: its JSON goes out as it is, however many are told it."""
    return orjson.Fragment(frame.json)


def _is_event(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], str) and data[0] not in _RESERVED
