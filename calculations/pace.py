"""When it is time again for what is done now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: What is done now and then may take at most this share of the time.
_SHARE = 0.05


class Pace:
    """Due so many seconds after the last time, and later where it takes long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    @contextmanager
    def taken(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        ended = time.monotonic()
        self._next = ended + max(self._seconds, (ended - began) / _SHARE)
