"""One attempt of one operation, as a line of named steps."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from ..conf import conf
from ..events.progress import Meter
from ..exceptions import Interrupted, LeaseLost, Snooze, Wait
from ..lifecycle import leases, retries, transitions
from ..models import Operation
from ..states import State
from ..storable import cleaned, storable
from . import fan_out, masking, queueing, registry, shutdown
from .context import OperationContext
from .heartbeat import Heartbeat
from .resources import Holdings

logger = logging.getLogger(__name__)


#: After so many the slot goes back to its pool, which may want to end the process.
_IN_A_ROW = 20


def work_off(operation_id: UUID) -> None:
    """Execute the operation, and then what is due in its queue, the oldest first.

    So a rescued operation goes on before what came later, and a lost wake waits no longer than others' work takes. A
    wake whose operation another worker took already stands for whatever is due by now.
    """
    held = execute(operation_id)
    queue = held.queue if held is not None else queueing.of(operation_id)
    for _ in range(_IN_A_ROW):
        if shutdown.is_asked() or not any(execute(pk) for pk in queueing.due(queue)):
            return


def execute(operation_id: UUID) -> Operation | None:
    """Claim, run, release, settle; None, quietly, where another worker has the operation."""
    close_old_connections()
    held = claim(operation_id)
    if held is None:
        return None
    attempt = Execution(held)
    attempt.start_heartbeat()
    try:
        outcome = attempt.run()
    finally:
        attempt.release()
        attempt.stop_heartbeat()
    attempt.settle(outcome)
    fan_out.follow_up(held)
    return held


def claim(operation_id: UUID) -> Operation | None:
    return transitions.claim(operation_id, leases.worker_name(os.getppid(), os.getpid()))


class Execution:
    """The attempt under way: the claimed row, its meter, its heartbeat, its context."""

    def __init__(self, held: Operation) -> None:
        self.held = held
        self.meter = Meter(held.progress)
        self.heartbeat = Heartbeat(held, self.meter)
        self.holdings = Holdings(held)
        self.context = OperationContext(held, self.meter, self.heartbeat, self.holdings)

    def start_heartbeat(self) -> None:
        self.heartbeat.start()

    def stop_heartbeat(self) -> None:
        self.heartbeat.stop()

    def run(self) -> Callable[[], object]:
        """Run the author's code; the answer is the one write that ends the attempt."""
        try:
            task = registry.find(self.held.name)()
            result = task.run(self.context, **self.held.input)
            result = storable(result, what="result", max_bytes=conf().result_max_bytes)
            self.context.check_progress()
            return lambda: self._succeed(result)
        except LeaseLost:
            return lambda: logger.info("operation %s: the lease was lost, another worker goes on", self.held.pk)
        except Interrupted:
            return lambda: transitions.stop(self.held) or self._give_back("its worker shuts down")
        except Wait as wait:
            policy = wait.on_failure
            return lambda: self._wait(policy)
        except Snooze as snooze:
            reason, after = cleaned(self._redact(snooze.message))[:2_000], snooze.after
            return lambda: transitions.stop(self.held) or self._snooze(reason, after)
        except Exception as error:  # an error of the author's code becomes a row
            failure = retries.classify(error, self._redact)
            logger.warning("operation %s: attempt %d ended: %s", self.held.pk, self.held.attempt, failure.message)
            return lambda: transitions.end_badly(self.held, failure)

    def _redact(self, said: Any) -> Any:
        return masking.redactor(registry.known(self.held.name), self.held.input)(said)

    def release(self) -> None:
        """While the lease is still renewed, as it may take its time, and before anybody is told that it has ended."""
        self.holdings.release()

    def settle(self, outcome: Callable[[], object]) -> None:
        """Write the outcome; again while the database is away and the lease may be ours. Else it will be rescued."""
        deadline = time.monotonic() + conf().self_fence_seconds
        while True:
            try:
                outcome()
                return
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if time.monotonic() > deadline:
                    raise
                logger.warning("operation %s: its outcome is written again: %s", self.held.pk, error)
                time.sleep(0.2)

    def _snooze(self, reason: str, after: timedelta) -> object:
        """Bad endings before and after it are not in a row."""
        return self._give_back(reason, after=after, failures=0, crashes=0)

    def _give_back(self, reason: str, *, after: timedelta = timedelta(), **changes: Any) -> object:
        operation = transitions.release(self.held, reason, after=after, **changes)
        if operation is not None and not after:
            queueing.wake_now(operation)  # not by a thread: this process may be gone before it comes to it
        return operation

    def _wait(self, policy: str) -> object:
        operation = transitions.wait(self.held, policy)
        if operation is not None and operation.state == State.QUEUED:
            queueing.wake_now(operation)
        return operation

    def _succeed(self, result: Any) -> object:
        snapshot = self.meter.snapshot()
        progress = snapshot | {"percent": 100.0, "eta_seconds": 0.0}
        return transitions.succeed(self.held, result, [("progress", progress)], progress=progress)
