"""What both drivers know of the server: where it is, and how large and how slow it may be."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import ConnectionClosed

from .bodies import Part
from .effects import Lost, Send

#: An event of 64 KB with its operation, whose input and result have up to 256 KB each.
_LARGEST_FRAME = 4 * 1024 * 1024
_WAITING_FRAMES = 64
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """The server's base address, `http` or `https`, with or without a path."""

    base: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"The base URL must begin with http:// or https://, and {self.base!r} does not.")

    def http(self, path: str) -> str:
        return self.base.rstrip("/") + path

    @property
    def socket(self) -> str:
        return "ws" + self.http("/ws/operations/").removeprefix("http")


def request_arguments(address: Address, call: Send, files: dict[str, Part]) -> dict[str, Any]:
    """What httpx is called with."""
    return {
        "method": call.method,
        "url": address.http(call.path),
        "params": dict(call.query) or None,
        "headers": {"Accept": "application/json", **call.headers},
        "json": call.json,
        "data": call.form,
        "files": files or None,
        "timeout": httpx.Timeout(call.seconds),
    }


def socket_arguments(token: str, seconds: float) -> dict[str, Any]:
    """What websockets is called with. The pings are our own: they also say what we have got."""
    return {
        "subprotocols": ["lro.v1", f"bearer.{token}"],
        "proxy": None,
        "open_timeout": seconds,
        "close_timeout": _CLOSE_SECONDS,
        "ping_interval": None,
        "max_size": _LARGEST_FRAME,
        "max_queue": _WAITING_FRAMES,
    }


def tls_arguments(address: Address, context: ssl.SSLContext | None) -> dict[str, Any]:
    return {"ssl": context} if context and address.socket.startswith("wss:") else {}


def lost(error: Exception) -> Lost:
    """What the steps are told of an error of the socket."""
    received = error.rcvd if isinstance(error, ConnectionClosed) else None
    return Lost(received.code) if received else Lost()
