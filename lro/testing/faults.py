"""Ways to hurt an operation at a place of one's choice, each for the time of a `with` block."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType
from typing import Any, Literal
from unittest import mock

from django.db import connection

from ..events import journal, publisher
from ..lifecycle import families, removal, transitions
from ..runtime import control, executor, fan_out, pruner, queueing, reconciler, resources, submission
from ..runtime.context import OperationContext
from ..runtime.item_batch import Batch
from ..states import State

#: Where the steps of the core are: every public function and method of these is one.
_OWNERS: tuple[Any, ...] = (
    submission,
    control,
    journal,
    transitions,
    families,
    removal,
    queueing,
    fan_out,
    fan_out.Spawner,
    executor,
    executor.Execution,
    OperationContext,
    Batch,
    resources,
    resources.Holdings,
    reconciler,
    pruner,
)


class Crash(BaseException):
    """Ends an attempt as if its process had been killed: nothing is settled, and the lease is left to be rescued."""


@contextmanager
def crash_after(*, checkpoints: int, times: int = 1) -> Iterator[None]:
    """Let the attempt crash after so many checkpoints of an operation, counted over its attempts; `times` times."""
    left = {"times": times}

    def crash(op: OperationContext) -> None:
        if left["times"]:
            left["times"] -= 1
            raise Crash

    with _after(checkpoints, crash):
        yield


@contextmanager
def cancel_after(*, checkpoints: int) -> Iterator[None]:
    """Cancel the operation after so many checkpoints, and let it hear of it at once."""
    with _after(checkpoints, lambda op: _ask("cancel", op)):
        yield


@contextmanager
def pause_after(*, checkpoints: int) -> Iterator[None]:
    """Pause the operation after so many checkpoints, and let it hear of it at once."""
    with _after(checkpoints, lambda op: _ask("pause", op)):
        yield


@contextmanager
def duplicate() -> Iterator[None]:
    """Deliver every message twice."""
    with mock.patch.object(_Delivery, "count", 2):
        yield


@contextmanager
def lose_pushes() -> Iterator[None]:
    """Lose every hint to those who follow: they must find the events by themselves."""
    with mock.patch.object(publisher, "publish", return_value=None):
        yield


def steps() -> dict[str, tuple[Any, str]]:
    """The steps of the core at whose borders a test may strike, such as `transitions.claim`, and where each is found.

    They are the public functions and methods themselves: who writes a new one has made its fault points.
    """
    return {
        f"{owner.__name__.rpartition('.')[2]}.{name}": (owner, name)
        for owner in _OWNERS
        for name, value in vars(owner).items()
        if _is_step(owner, name, value)
    }


def _is_step(owner: Any, name: str, value: Any) -> bool:
    if not isinstance(value, FunctionType) or name.startswith("_") or inspect.isgeneratorfunction(value):
        return False
    return value.__module__ == (owner.__module__ if inspect.isclass(owner) else owner.__name__)


@contextmanager
def strike(
    step: str, blow: Callable[[], object], *, border: Literal["before", "after"] = "before", nth: int | None = 1
) -> Iterator[None]:
    """Let `blow` fall right before, or after, the `nth` time that this process takes the step; None: each time."""
    owner, name = steps()[step]
    whole = getattr(owner, name)
    passed = {"before": 0, "after": 0}

    def pass_by(place: str) -> None:
        passed[place] += 1
        if place == border and nth in (None, passed[place]):
            blow()

    @wraps(whole)
    def stepped(*args: Any, **options: Any) -> Any:
        pass_by("before")
        answer = whole(*args, **options)
        pass_by("after")
        return answer

    with mock.patch.object(owner, name, stepped):
        yield


def kill() -> None:
    """A blow: this very process is gone, and nothing of it gets the chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


def cut() -> None:
    """A blow: the connection to the database is lost, with the transaction that may be open on it."""
    if connection.connection is not None:
        connection.connection.close()


class _Delivery:
    count = 1


def deliveries() -> int:
    return _Delivery.count


@contextmanager
def _after(checkpoints: int, strike: Callable[[OperationContext], None]) -> Iterator[None]:
    whole = OperationContext.checkpoint

    def checkpoint(op: OperationContext, cursor: Any, **options: Any) -> None:
        whole(op, cursor, **options)
        if op._held.checkpoints >= checkpoints:
            strike(op)
            op.check()

    with mock.patch.object(OperationContext, "checkpoint", checkpoint):
        yield


def _ask(verb: str, op: OperationContext) -> None:
    operation = control.act(verb, op.id, "a test")
    op._heartbeat.state = State(operation.state)
