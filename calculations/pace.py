"""When it is time again for what is done now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: What is done now and then may take this share of the time, unless more than so many seconds would pass until again.
_SHARE = 0.02
_LONGEST_PAUSE = 2.0


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
        self._next = ended + max(self._seconds, min(_LONGEST_PAUSE, (ended - began) / _SHARE))
