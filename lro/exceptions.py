"""What can go wrong, each as a name and a sentence, and the exceptions by which `run` steers its attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID


class LroError(Exception):
    """Something about a long-running operation is wrong."""

    code = "error"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or self.code).splitlines()[0]
        super().__init__(self.message)


class UnknownOperation(LroError):
    """No operation of this name is registered."""

    code = "unknown_operation"


class UnknownCleanup(LroError):
    """No cleanup of this name is declared."""

    code = "unknown_cleanup"


class NotAllowedNow(LroError):
    """The operation's state does not allow this."""

    code = "not_allowed_now"


class IdempotencyMismatch(LroError):
    """This Idempotency-Key was used before, with another input."""

    code = "idempotency_mismatch"


class Refused(LroError):
    """The request is good, but cannot be accepted at this moment; `retry_after` seconds later it may be."""

    def __init__(self, message: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExceeded(Refused, NotAllowedNow):
    """You have too many operations under way."""

    code = "quota_exceeded"


class Overloaded(Refused):
    """Too much work waits already; nothing more is accepted for the moment."""

    code = "overloaded"


class AlreadyActive(NotAllowedNow):
    """Another operation is at work on the same thing."""

    code = "already_active"

    def __init__(self, other: UUID | None = None, *, visible: bool = True) -> None:
        super().__init__(f"Operation {other} is at work on the same thing." if other and visible else None)
        self.other = other if visible else None


class LeaseLost(LroError):
    """This worker no longer holds the operation, so it may write nothing more."""

    code = "lease_lost"


class InvalidValue(LroError):
    """A value cannot be stored."""

    code = "invalid_value"


class Problem(LroError):
    """A request that cannot be accepted: its HTTP status, a code, a sentence, and the places in the input."""

    def __init__(self, status: int, code: str, message: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.errors = status, code, errors or []


class Control(Exception):
    """How `run` ends its attempt other than by returning or by an error."""


class Interrupted(Control):
    """Raised inside `run` where it should stop: cancelled, paused, or its worker shuts down."""


class Retry(Control):
    """Try again later: `raise Retry(after=30)` or `raise Retry("the service is busy")`."""

    def __init__(self, message: str = "The operation asked to be tried again.", *, after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.after = None if after is None else timedelta(seconds=after)


class Snooze(Control):
    """Go on later, as it is too early now: `raise Snooze(after=60)`. Unlike `Retry` it counts as no failure."""

    def __init__(self, message: str = "The operation waits for something.", *, after: float) -> None:
        super().__init__(message)
        self.message = message
        self.after = timedelta(seconds=after)


class Wait(Control):
    """Raised by `op.gather` where children are still at work: the operation goes on when the last one has ended."""

    def __init__(self, on_failure: str) -> None:
        super().__init__(type(self).__doc__)
        self.on_failure = on_failure


class Fail(Control):
    """Fail for good, with a code and a message for the person who started it."""

    def __init__(self, code: str, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details or []


class RejectItem(Exception):
    """Raised by `process` of an `ItemOperation` to set one item aside: what was written for it is undone.

    `column` says which part of the item is bad; `raw` is the item as it came, by default its key or its text.
    """

    def __init__(self, code: str, message: str, *, column: str = "", raw: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.column, self.raw = code[:60], message[:2_000], column, raw


class ItemFailed(Exception):
    """An item could not be processed: the error that it raised, and which item it was."""

    def __init__(self, error: Exception, place: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.error, self.place = error, place
