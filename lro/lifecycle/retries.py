"""Whether and when a failed attempt is tried again: pure numbers, apart from time and database."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import InterfaceError, OperationalError

from ..conf import conf
from ..exceptions import Fail, InvalidValue, ItemFailed, Retry, UnknownOperation
from ..storable import cleaned, storable

#: Tried again, these would only fail again.
PERMANENT = (
    ValidationError,
    PermissionDenied,
    InvalidValue,
    UnknownOperation,
    TypeError,
    AttributeError,
    NameError,
    ImportError,
)
INFRASTRUCTURE = (OperationalError, InterfaceError, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt ended badly. `kind` is `user`, `infrastructure`, `timeout` or `lost`."""

    code: str
    message: str
    kind: str
    is_retryable: bool
    details: list[dict[str, Any]] = field(default_factory=list)
    after: timedelta | None = None
    traceback: str = ""

    def as_error(self, attempt: int) -> dict[str, Any]:
        """The `error` object of the contract; the traceback stays with the attempt, for staff."""
        return {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "retryable": self.is_retryable,
            "attempt": attempt,
            "kind": self.kind,
        }


def lost(message: str) -> Failure:
    return Failure("worker_lost", message, "lost", is_retryable=True)


def quarantined(crashes: int, worker: str, progress: dict[str, Any]) -> Failure:
    """What kills its process again and again is not tried on the next one."""
    message = f"Its worker process was lost {crashes} times in a row without a checkpoint between them."
    last = {"worker": worker, "step": str(progress.get("step") or "")[:200], "current": progress.get("current")}
    return Failure("quarantined", message, "lost", is_retryable=False, details=[last])


def timed_out(code: str, message: str) -> Failure:
    return Failure(code, message, "timeout", is_retryable=True)


def classify(error: BaseException, redact: Callable[[Any], Any] = lambda said: said) -> Failure:
    """What an exception out of `run` means for the operation, with nothing in it that cannot be stored or told."""
    failure = _classified(error)
    return replace(
        failure,
        code=cleaned(failure.code)[:100],
        message=cleaned(redact(failure.message))[:2_000],
        details=_storable(redact(failure.details)),
        traceback=cleaned(redact(failure.traceback))[-20_000:],
    )


def _classified(error: BaseException) -> Failure:
    if isinstance(error, ItemFailed):
        failure = _classified(error.error)
        return replace(failure, details=[*failure.details, error.place])
    message = str(error) or type(error).__name__
    if isinstance(error, Fail):
        return Failure(error.code, message, "user", is_retryable=False, details=error.details)
    if isinstance(error, Retry):
        return Failure("retry_requested", message, "infrastructure", is_retryable=True, after=error.after)
    kind = "infrastructure" if isinstance(error, (*INFRASTRUCTURE, OSError, MemoryError)) else "user"
    code = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(error).__name__).lstrip("_")
    text = "".join(traceback.format_exception(error))
    return Failure(code, message, kind, is_retryable=not isinstance(error, PERMANENT), traceback=text)


def _storable(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An error that could not be written would look like the loss of its worker."""
    try:
        stored: list[dict[str, Any]] = storable(details, what="details", max_bytes=conf().event_max_bytes // 2)
    except InvalidValue as error:
        return [{"left_out": error.message}]
    return stored


def backoff(failures: int, *, base: float, cap: float, uniform: Any = random.uniform) -> timedelta:
    """Full jitter: a random time up to base·2ⁿ, at most `cap` seconds.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return timedelta(seconds=uniform(0, min(cap, base * 2 ** min(failures, 32))))
