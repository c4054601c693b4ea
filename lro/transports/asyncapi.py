"""The AsyncAPI document of the live faces: the WebSocket, and the Socket.IO namespace with the same messages."""

from __future__ import annotations

from typing import Any

from .protocol import CLOSE_CODES, FROM_CLIENT, FROM_SERVER, REFUSALS, FrameKind
from .schemas import RESOURCES
from .tokens import PROTOCOL

VERSION = "1.0.0"
#: Sent as an answer alone.
_ANSWERS = ("acknowledged", "pong", "subscribed")


def document(host: str = "localhost:8000", *, is_secure: bool = False) -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Long-running operations, live",
            "version": VERSION,
            "description": _DESCRIPTION,
            "tags": [{"name": "operations"}],
        },
        "defaultContentType": "application/json",
        "servers": _servers(host, "wss" if is_secure else "ws", "https" if is_secure else "http"),
        "channels": _CHANNELS,
        "operations": {
            **{name: _received("websocket", name, frame) for name, frame in FROM_CLIENT.items()},
            "follow": _sent("websocket", [name for name in FROM_SERVER if name not in _ANSWERS]),
            **{f"socketio_{name}": _received("socketio", name, frame) for name, frame in FROM_CLIENT.items()},
            "socketio_follow": _sent("socketio", [name for name in FROM_SERVER if name not in _ANSWERS]),
        },
        "components": {
            "schemas": {name: RESOURCES[name] for name in _SHARED},
            "messages": {name: _message(name, frame) for name, frame in {**FROM_CLIENT, **FROM_SERVER}.items()},
            "securitySchemes": _SECURITY,
        },
    }


def _servers(host: str, socket: str, polling: str) -> dict[str, Any]:
    security = [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY]
    return {
        "websocket": {
            "host": host,
            "protocol": socket,
            "description": f"Sub-protocol `{PROTOCOL}`.",
            "security": security,
        },
        "socketio": {
            "host": host,
            "protocol": polling,
            "pathname": "/socket.io/",
            "description": "Socket.IO 4 by long-polling or WebSocket; the token goes into `auth: {token}`.",
            "security": security[:1],
        },
    }


def _channel(server: str, address: str, title: str, description: str, **more: Any) -> dict[str, Any]:
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in (*FROM_CLIENT, *FROM_SERVER)}
    return {
        "address": address,
        "title": title,
        "description": description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": messages,
        **more,
    }


def _received(channel: str, name: str, frame: FrameKind) -> dict[str, Any]:
    return {
        "action": "receive",
        "title": name if channel == "websocket" else f"emit {name}",
        "summary": frame.summary,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": _in(channel, [name]),
        "reply": {"channel": {"$ref": f"#/channels/{channel}"}, "messages": _in(channel, frame.replies)},
    }


def _sent(channel: str, names: list[str]) -> dict[str, Any]:
    return {
        "action": "send",
        "title": "What is sent unasked" if channel == "websocket" else "What is emitted unasked",
        "summary": "What happens to the operations that are followed, and to the connection.",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": _in(channel, names),
    }


def _in(channel: str, names: Any) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _message(name: str, frame: FrameKind) -> dict[str, Any]:
    return {"name": name, "title": name, "summary": frame.summary, "payload": frame.payload(name)}


def _table(head: str, rows: dict[Any, str]) -> str:
    lines = [f"| {head} | meaning |", "|---|---|", *(f"| `{key}` | {text} |" for key, text in rows.items())]
    return "\n".join(lines)


_DESCRIPTION = f"""One connection follows any number of operations. The server answers a subscription with a `snapshot`
of each operation (or, with `after`, with the events since then), then with `caught_up`, and sends every further event
once and in order. A client that comes back resumes with `after`, the last sequence that it has seen.

{_table("code of `refused`", REFUSALS)}

{_table("close code", CLOSE_CODES)}
"""

_SHARED = ("Operation", "State", "Progress", "Error", "ErrorKind", "Children", "Links", "Event")

_SECURITY: dict[str, Any] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": f"From `POST /auth/token/`: as a second sub-protocol `bearer.<token>` beside `{PROTOCOL}`, or "
        "in a first frame `authenticate` within 10 seconds. Never in the address.",
    },
    "session": {
        "type": "httpApiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "The session of a page of the same origin, as the admin's.",
    },
}

_PROTOCOLS = {
    "type": "object",
    "properties": {
        "Sec-WebSocket-Protocol": {
            "type": "string",
            "description": f"`{PROTOCOL}`, or `{PROTOCOL}, bearer.<token>`; the server picks `{PROTOCOL}`.",
        }
    },
}

_CHANNELS: dict[str, Any] = {
    "websocket": _channel(
        "websocket",
        "/ws/operations/",
        "WebSocket",
        "JSON text frames of at most 64 KiB, each with its `type`.",
        bindings={"ws": {"method": "GET", "headers": _PROTOCOLS, "bindingVersion": "0.1.0"}},
        **{"x-close-codes": {str(code): text for code, text in CLOSE_CODES.items()}},
    ),
    "socketio": _channel(
        "socketio",
        "/operations",
        "Socket.IO namespace",
        "The event's name is the `type` of the message, and its one argument the rest. What a client emits is "
        "acknowledged with the answer.",
    ),
}
