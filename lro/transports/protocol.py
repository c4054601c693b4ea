"""Every frame that may be sent, in both directions, with its fields: the rows of the AsyncAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field

from .messages import VERBS
from .schemas import ID, TEXT, TIME, WHOLE, Schema, enumeration, maybe, record, ref, said


@dataclass(frozen=True, slots=True)
class FrameKind:
    summary: str
    fields: dict[str, Schema] = field(default_factory=dict)
    optional: dict[str, Schema] = field(default_factory=dict)
    #: Of a client's frame: what the server answers to it alone.
    replies: tuple[str, ...] = ()
    #: It names one of 'operation', 'root', 'mine', 'all'.
    has_target: bool = False

    def payload(self, name: str) -> Schema:
        target = _TARGET if self.has_target else {}
        kind: Schema = {"type": "string", "const": name}
        schema = record("", {"type": kind, **self.fields}, {**target, **self.optional})
        return {**schema, "oneOf": [{"required": [key]} for key in _TARGET]} if self.has_target else schema


_TRUE: Schema = {"type": "boolean", "const": True}
_TARGET: dict[str, Schema] = {
    "operation": said(ID, "One operation."),
    "root": said(ID, "An operation with all its descendants."),
    "mine": said(_TRUE, "One's own, without children."),
    "all": said(_TRUE, "Everybody's, without children; for staff."),
}
_REQUEST_ID: Schema = {
    "type": ["string", "integer"],
    "maxLength": 100,
    "description": "Chosen by the client, and sent back.",
}
_RETRY: dict[str, Schema] = {"from": enumeration("Where the new attempt begins.", ("checkpoint", "start"))}

REFUSALS: dict[str, str] = {
    "bad_frame": "It is not a JSON object in a text frame.",
    "unknown_type": "There is no such `type`.",
    "bad_target": "It does not name exactly one of `operation`, `root`, `mine`, `all`.",
    "bad_operation": "It does not name an operation by its id.",
    "bad_after": "`after` is not a sequence.",
    "bad_sequences": "`sequences` does not map operations to sequences.",
    "bad_token": "`token` is no text.",
    "invalid": "`from` is neither `checkpoint` nor `start`.",
    "not_authenticated": "No token came yet, or it is not valid.",
    "not_found": "There is nothing of this kind that the user may see.",
    "not_allowed_now": "The operation's state does not allow it.",
    "already_active": "Another operation is at work on the same thing.",
    "quota_exceeded": "Of a retry: the owner has too many operations under way.",
    "too_many_subscriptions": "One socket has at most 50.",
    "server_error": "The server could not do it; it may be tried again.",
    "forbidden_origin": "The socket is closed with 4403.",
    "no_authentication": "The socket is closed with 4408.",
    "token_expired": "The socket is closed with 4401.",
    "other_user": "The new token is another user's; the socket is closed with 4401.",
    "too_many_frames": "The socket is closed with 4429.",
}

CLOSE_CODES: dict[int, str] = {
    4401: "Not authenticated: the token is not valid, or has expired.",
    4403: "The origin of the page may not open a socket here.",
    4408: "No authentication came within 10 seconds.",
    4429: "Too many frames.",
    1012: "The server restarts: connect again with back-off, and resume from the last sequence.",
}

FROM_CLIENT: dict[str, FrameKind] = {
    "authenticate": FrameKind(
        "Who is there; sent again before the token expires.",
        {"token": said(TEXT, "An access token.")},
        {"request_id": _REQUEST_ID},
        replies=("ready", "refused"),
    ),
    "subscribe": FrameKind(
        "Follow operations.",
        optional={
            "after": said(WHOLE, "Send the events after this sequence in place of a snapshot."),
            "request_id": _REQUEST_ID,
        },
        replies=("snapshot", "event", "caught_up", "subscribed", "refused"),
        has_target=True,
    ),
    "unsubscribe": FrameKind(
        "Follow them no longer.",
        optional={"request_id": _REQUEST_ID},
        replies=("unsubscribed", "refused"),
        has_target=True,
    ),
    "ping": FrameKind(
        "Ask whether the server is there, and for what was lost on the way.",
        optional={
            "sequences": {
                "type": "object",
                "additionalProperties": {"type": "integer"},
                "description": "The last sequence that came of each operation: the server sends what is missing.",
            },
            "request_id": _REQUEST_ID,
        },
        replies=("pong", "refused"),
    ),
    **{
        verb: FrameKind(
            f"As `POST /operations/{{id}}/{verb}`.",
            {"operation": ID},
            {"request_id": _REQUEST_ID, **(_RETRY if verb == "retry" else {})},
            replies=("acknowledged", "refused"),
        )
        for verb in VERBS
    },
}

FROM_SERVER: dict[str, FrameKind] = {
    "ready": FrameKind(
        "The server knows who is there.",
        {"user": TEXT, "expires_at": said(maybe(TIME), "Of the token; null for a session.")},
    ),
    "snapshot": FrameKind("The operation as it is now.", {"operation": ref("Operation")}),
    "caught_up": FrameKind("All that was there has been sent; what follows is live.", has_target=True),
    "event": FrameKind(
        "Something happened.",
        {"event": ref("Event")},
        {
            "operation": said(ref("Operation"), "With an event that changes its state, as it is now."),
            "merged": {
                "type": "integer",
                "minimum": 1,
                "description": "This progress event stands for so many others, right before it, too.",
            },
        },
    ),
    "gap": FrameKind(
        "The client was too slow: the events after `after` up to `sequence` are left out, and a snapshot follows.",
        {"operation": ID, "after": WHOLE, "sequence": WHOLE},
    ),
    "subscribed": FrameKind(
        "Of Socket.IO, the acknowledgement of `subscribe`; what is followed is told by events.",
        optional={"request_id": _REQUEST_ID},
        has_target=True,
    ),
    "unsubscribed": FrameKind(
        "It is followed no longer: as the client asked, or, with a `code`, because it may not be.",
        optional={"code": TEXT, "message": TEXT, "request_id": _REQUEST_ID},
        has_target=True,
    ),
    "acknowledged": FrameKind(
        "It was done.",
        {"operation": ref("Operation")},
        {"request_id": _REQUEST_ID},
    ),
    "refused": FrameKind(
        "A frame could not be followed. Only where the table of codes says so is this the end of the socket.",
        {"code": enumeration("As the table of codes says.", REFUSALS), "message": TEXT},
        {"request_id": _REQUEST_ID, **_TARGET},
    ),
    "token_expiring": FrameKind("It is time for a new token; sent 60 seconds ahead.", {"expires_at": TIME}),
    "pong": FrameKind("The server is there.", optional={"request_id": _REQUEST_ID}),
}
