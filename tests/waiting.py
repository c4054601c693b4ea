"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

import psutil

Answer = TypeVar("Answer")


def until(condition: Callable[[], Answer], *, within: float = 60.0, what: str = "", every: float = 0.05) -> Answer:
    """The first true answer of `condition`; an AssertionError that says `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or condition}"
        time.sleep(every)
    return answer


def are_gone(processes: Iterable[psutil.Process]) -> bool:
    """Whether all have ended; in a container, nobody may ever collect the dead."""
    return not any(is_alive(process) for process in processes)


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
