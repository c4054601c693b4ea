"""What may go wrong between a client and its server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .resources import Operation


class ClientError(Exception):
    """The base of every error of the client."""


class Unreachable(ClientError):
    """The server did not answer, for as long as the client was told to keep trying."""


class SignedOut(ClientError):
    """There is no token, or the server takes it no more and it cannot be renewed."""


class InvalidAnswer(ClientError):
    """The server's answer is larger than it may be, damaged, or not what the contract says."""


class Problem(ClientError):
    """The server refused, in the words of RFC 9457.

    `errors` name the places in the input; `retry_after` is in seconds, None where the server did not say; `tries` is
    how often it was asked, as a try whose answer was lost may have had its effect.
    """

    def __init__(
        self,
        status: int,
        code: str = "",
        detail: str = "",
        errors: Sequence[dict[str, Any]] = (),
        *,
        retry_after: float | None = None,
        tries: int = 1,
    ) -> None:
        super().__init__(f"{detail or 'The server refused.'} ({status} {code})".replace(" )", ")"))
        self.status, self.code, self.detail, self.errors = status, code, detail, tuple(errors)
        self.retry_after, self.tries = retry_after, tries


class OperationFailed(ClientError):
    """The operation ended, and not well: it failed, expired or was cancelled."""

    def __init__(self, operation: Operation) -> None:
        error = operation.error or {}
        super().__init__(
            f"{operation.name} {operation.id} {operation.state}: {error.get('message', 'no error is given')}"
        )
        self.operation = operation
        self.code = str(error.get("code", operation.state))
