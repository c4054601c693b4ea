"""Who is on the socket: a token by sub-protocol or first frame, or the session of a page of our own origin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.http import HttpRequest, parse_cookie
from rest_framework_simplejwt.authentication import JWTAuthentication

from ..conf import conf

PROTOCOL = "lro.v1"
_BEARER = "bearer."


@dataclass(frozen=True, slots=True)
class Identity:
    user: Any
    expires_at: datetime | None = None
    session_key: str | None = None

    @classmethod
    def of_request(cls, request: Any) -> Self:
        """Who a view of DRF found to be there."""
        if request.auth:
            return cls(request.user, _expiry(request.auth))
        return cls(request.user, session_key=request.session.session_key)

    def reviewed(self) -> Any:
        """The user as the database knows them now; None where the account is not active, or the session over."""
        if self.session_key is not None:
            return _of_session(self.session_key)
        return get_user_model().objects.filter(pk=self.user.pk, is_active=True).first()


def by_token(token: str) -> Identity:
    """Raises simplejwt's `InvalidToken` or `AuthenticationFailed`."""
    authentication = JWTAuthentication()
    valid = authentication.get_validated_token(token.encode())
    return Identity(authentication.get_user(valid), _expiry(valid))


def by_session(scope: dict[str, Any]) -> Identity | None:
    """Who is logged in by the cookie of the handshake."""
    key = parse_cookie(_header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME)
    user = _of_session(key) if key else None
    return None if user is None else Identity(user, session_key=key)


def _of_session(key: str) -> Any:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return user if user.is_authenticated and user.is_active else None


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
