"""Ways to hurt an operation at a place of one's choice, each for the time of a `with` block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ..events import publisher
from ..runtime import control
from ..runtime.context import OperationContext
from ..states import State


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
