"""What must be hurt or watched in the middle may not be over before, however fast the machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Gate:
    """Two files by which a test tells the workers of the system that it started when to wait."""

    def __init__(self, folder: Path) -> None:
        self._percent, self._seconds = folder / "held_at_percent", folder / "seconds_per_progress"

    # For the test

    def hold_at(self, percent: float) -> None:
        """Let what has not come so far go on until it has; what is held before that goes on."""
        _write(self._percent, percent)

    @contextmanager
    def holding_at(self, percent: float) -> Iterator[None]:
        """What has come so far goes on when the block ends."""
        self.hold_at(percent)
        try:
            yield
        finally:
            self._percent.unlink()

    @contextmanager
    def slowing_down(self, seconds: float) -> Iterator[None]:
        """Each report of progress takes so much longer: something happens all the time, and not too fast."""
        _write(self._seconds, seconds)
        try:
            yield
        finally:
            self._seconds.unlink()

    # For the worker

    def slow_down(self, op: Any) -> None:
        time.sleep(_read(self._seconds, 0.0))

    def hold(self, op: Any) -> None:
        while _percent_of(op) >= _read(self._percent, float("inf")):
            op.check()
            time.sleep(0.02)


def _percent_of(op: Any) -> float:
    return 100.0 * (op._meter._done() or 0.0)


def _read(path: Path, otherwise: float) -> float:
    try:
        return float(path.read_text())
    except FileNotFoundError:
        return otherwise


def _write(path: Path, value: float) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(str(value))
    draft.replace(path)
