"""What a watch shows: bars on a terminal, a line now and then elsewhere, or every event as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ...models import Event, Operation
from ...transports import payloads
from . import words

_QUIET_SECONDS = 30.0


class Display(Protocol):
    #: Whether it wants the events from the first on.
    is_complete: bool

    def open(self) -> None: ...

    def close(self) -> None: ...

    def update(self, operation: Operation, events: Sequence[Event]) -> None: ...

    def note(self, text: str) -> None: ...


class JsonLines:
    """Every event as one line of JSON on `out`; notes for people on `notes`."""

    is_complete = True

    def __init__(self, out: TextIO, notes: TextIO) -> None:
        self._out, self._notes = out, notes

    def open(self) -> None: ...

    def close(self) -> None: ...

    def update(self, operation: Operation, events: Sequence[Event]) -> None:
        for event in events:
            self._out.write(json.dumps(payloads.event(event)) + "\n")
        self._out.flush()

    def note(self, text: str) -> None:
        print(text, file=self._notes, flush=True)


class LogLines(JsonLines):
    """Every event as one line for people."""

    def update(self, operation: Operation, events: Sequence[Event]) -> None:
        for event in events:
            self._out.write(words.line(event) + "\n")
        self._out.flush()


class Lines:
    """A line at each change of state, at each 10 %, and after 30 seconds without one."""

    is_complete = False

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said: dict[Any, tuple[str, int, float]] = {}

    def open(self) -> None: ...

    def close(self) -> None: ...

    def update(self, operation: Operation, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == "log":
                self.note(f"{words.label(operation)}  {words.summary(event)}")
        state, tenth, said_at = self._said.get(operation.pk, ("", -1, 0.0))
        share = words.percent_of(operation)
        now_tenth = int(share // 10) if share is not None else -1
        is_old = not operation.is_terminal and time.monotonic() - said_at > _QUIET_SECONDS
        if state != operation.state or tenth != now_tenth or is_old:
            self._said[operation.pk] = (operation.state, now_tenth, time.monotonic())
            self.note(words.joined(words.label(operation), operation.state, words.percent(share), _speed(operation)))

    def note(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class Bars:
    """One bar for each operation, and the log lines above them."""

    is_complete = False

    def __init__(self, console: Console) -> None:
        columns = ("state", "share", "speed")
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(complete_style="blue", finished_style="green"),
            *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in columns),
            console=console,
            refresh_per_second=8,
        )
        self._tasks: dict[Any, TaskID] = {}

    def open(self) -> None:
        self._progress.start()

    def close(self) -> None:
        self._progress.stop()

    def update(self, operation: Operation, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == "log":
                self.note(f"{words.label(operation)}  {words.summary(event)}")
        share = words.percent_of(operation)
        shown: dict[str, Any] = {
            "state": operation.state,
            "share": words.percent(share),
            "speed": _speed(operation),
        }
        if operation.pk not in self._tasks:
            self._tasks[operation.pk] = self._progress.add_task(words.label(operation), total=None, **shown)
        is_known = share is not None or not operation.is_held
        total = 100.0 if is_known else None
        self._progress.update(self._tasks[operation.pk], total=total, completed=share or 0.0, **shown)

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


def _speed(operation: Operation) -> str:
    progress = operation.progress
    live = () if operation.is_terminal else (words.rate(progress), words.remaining(progress))
    return words.joined(words.amount(progress), *live)


def for_stream(out: TextIO) -> Display:
    """Bars where somebody looks at a terminal. `NO_COLOR` and `TERM=dumb` are heeded."""
    console = Console(file=out)
    return Bars(console) if console.is_terminal and not console.is_dumb_terminal else Lines(out)
