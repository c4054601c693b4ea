"""Who is on the socket: a token by sub-protocol or first frame, or the session of a page of our own origin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

from rest_framework_simplejwt.authentication import JWTAuthentication

from ..conf import conf

PROTOCOL = "lro.v1"
_BEARER = "bearer."


@dataclass(frozen=True, slots=True)
class Identity:
    user: Any
    expires_at: datetime | None = None  # a session's user is asked for again and again instead

    @classmethod
    def of_request(cls, request: Any) -> Self:
        """Who a view of DRF found to be there."""
        return cls(request.user, _expiry(request.auth) if request.auth else None)


def by_token(token: str) -> Identity:
    """Raises simplejwt's `InvalidToken` or `AuthenticationFailed`."""
    authentication = JWTAuthentication()
    valid = authentication.get_validated_token(token.encode())
    return Identity(authentication.get_user(valid), _expiry(valid))


def _expiry(token: Any) -> datetime:
    return datetime.fromtimestamp(token["exp"], UTC)


def offered(scope: dict[str, Any]) -> str | None:
    """The token among the offered sub-protocols, as browsers can send no header."""
    offered = (str(protocol) for protocol in scope.get("subprotocols", []))
    return next((protocol[len(_BEARER) :] for protocol in offered if protocol.startswith(_BEARER)), None)


def is_trusted_origin(scope: dict[str, Any]) -> bool:
    """No origin (not a browser), our own, or one that the settings allow."""
    origin = _header(scope, b"origin")
    if not origin or origin in conf().allowed_origins:
        return True
    return urlsplit(origin).netloc == _header(scope, b"host")


def is_from_browser(scope: dict[str, Any]) -> bool:
    return bool(_header(scope, b"origin"))


def _header(scope: dict[str, Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
