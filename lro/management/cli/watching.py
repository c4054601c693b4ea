"""Follow operations by their rows until they end, the patience ends, or somebody presses Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from ...models import Event, Operation
from ...states import State
from . import words
from .display import Display
from .exits import Exit, ending

_POLL_SECONDS = 0.25
_PAGE = 500
_WORKER_PATIENCE_SECONDS = 3.0


class Watch:
    def __init__(self, operations: Sequence[Operation], display: Display, *, timeout: float | None = None) -> None:
        self._display = display
        self._cursors = {row.pk: 0 if display.is_complete else row.last_sequence for row in operations}
        self._rows: dict[Any, Operation] = {row.pk: row for row in operations}
        self._began_at = time.monotonic()
        self._deadline = None if timeout is None else self._began_at + timeout
        self._has_hinted = False
        self._is_away = False

    def run(self) -> list[Operation]:
        """The operations as they ended. Raises `CommandError` on a timeout or an interrupt."""
        try:
            self._display.open()
            while not self._look():
                if self._deadline is not None and time.monotonic() > self._deadline:
                    raise ending(Exit.TIMED_OUT, f"Not done in time, and still going on: {self._unfinished()}.")
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            message = f"No longer watching; it goes on. To watch again: manage.py lro watch {self._unfinished()}"
            raise ending(Exit.INTERRUPTED, message) from None
        finally:
            self._display.close()
        return list(self._rows.values())

    def _look(self) -> bool:
        """Read what is new; whether all have ended. A database that restarts is waited for."""
        try:
            for row in Operation.objects.filter(pk__in=self._rows).select_related("owner"):
                self._rows[row.pk] = row
                self._tell(row)
            self._hint()
            self._is_away = False
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if not self._is_away:
                self._display.note(f"The database does not answer, trying again: {error}")
            self._is_away = True
            return False
        return all(row.is_terminal for row in self._rows.values())

    def _tell(self, row: Operation) -> None:
        events: list[Event] = []
        while self._cursors[row.pk] < row.last_sequence:
            events = list(Event.objects.filter(operation_id=row.pk, sequence__gt=self._cursors[row.pk])[:_PAGE])
            if not events:
                break
            self._cursors[row.pk] = events[-1].sequence
            self._display.update(row, events)
        if not events:
            self._display.update(row, [])

    def _hint(self) -> None:
        """Say once why nothing happens."""
        waiting = [row for row in self._rows.values() if row.state == State.QUEUED]
        if self._has_hinted or not waiting or time.monotonic() - self._began_at < _WORKER_PATIENCE_SECONDS:
            return
        self._has_hinted = True
        busy = Operation.objects.held().count()
        why = (
            f"its turn comes after others: {busy} are running."
            if busy
            else "no worker has taken it. Start one: celery -A PROJECT worker, or the whole system: make run."
        )
        self._display.note(f"{words.label(waiting[0])} waits in the queue '{waiting[0].queue}': {why}")

    def _unfinished(self) -> str:
        return " ".join(str(row.pk) for row in self._rows.values() if not row.is_terminal)


def conclude(operations: Sequence[Operation]) -> None:
    """Return where all succeeded; else raise what the worst of them deserves."""
    bad = [row for row in operations if row.state != State.SUCCEEDED]
    if bad:
        is_only_cancelled = all(row.state == State.CANCELLED for row in bad)
        code = Exit.CANCELLED if is_only_cancelled else Exit.FAILED
        raise ending(code, "\n".join(_verdict(row) for row in bad))


def _verdict(row: Operation) -> str:
    error = row.error or {}
    reason = f": {error['message']} ({error['code']})" if error else ""
    return f"{words.label(row)} {row.state}{reason}"
