"""The tokens of one user, and when to renew them: no input or output."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

from .errors import SignedOut

_AHEAD_SECONDS = 30.0


class TokenKeeper:
    """Holds the access token, and what another one can be had for: a refresh token, or a name and a password."""

    def __init__(
        self,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        refresh: str | None = None,
        clock: Callable[[], float],
    ) -> None:
        self.access = token or ""
        self._refresh = refresh
        self._credentials = {"username": username, "password": password} if username and password else None
        self._clock = clock
        self._renew_at = clock() + _usable_seconds(_claims(self.access), since="now")

    @property
    def can_renew(self) -> bool:
        return bool(self._refresh or self._credentials)

    @property
    def is_due(self) -> bool:
        """Whether the token should be renewed before it is used: there is none, or it soon expires."""
        return not self.access or (self.can_renew and self._clock() >= self._renew_at)

    def is_replaced(self, stale: str) -> bool:
        """Whether somebody else has renewed the token already."""
        return self.access != stale and not self.is_due

    def ways(self) -> list[tuple[str, dict[str, Any]]]:
        """The requests that may bring a new token, path and body, to be tried in this order. Raises `SignedOut`."""
        ways: list[tuple[str, dict[str, Any]]] = []
        if self._refresh:
            ways.append(("/auth/token/refresh/", {"refresh": self._refresh}))
        if self._credentials:
            ways.append(("/auth/token/", self._credentials))
        if not ways:
            raise SignedOut("The token has expired or is not valid, and there is none to renew it with.")
        return ways

    def keep(self, answer: dict[str, Any]) -> str:
        """Take what the server gave; a refresh token is rotated, so the old one is of no use any more."""
        self.access = str(answer["access"])
        self._refresh = answer.get("refresh") or self._refresh
        self._renew_at = self._clock() + _usable_seconds(_claims(self.access), since="iat")
        return self.access


def _usable_seconds(claims: dict[str, Any], *, since: str) -> float:
    """How long the token is good for, short of a margin.

    A token that has just come is measured by its own issue, so that a clock of ours that is wrong does no harm.
    """
    try:
        begin = time.time() if since == "now" else float(claims.get("iat", time.time()))
        lifetime = max(0.0, float(claims["exp"]) - begin)
    except (KeyError, TypeError, ValueError):
        return float("inf")  # not a token that can be read: the server will say when it is over
    return lifetime - min(_AHEAD_SECONDS, lifetime / 4)


def _claims(token: str) -> dict[str, Any]:
    """What a JSON web token says of itself; its signature is the server's concern."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
