"""The proof of life of an attempt: a thread that renews the lease, writes the progress, and hears what is asked."""

from __future__ import annotations

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from ..conf import conf
from ..events.progress import Meter
from ..lifecycle import leases, transitions
from ..models import Operation
from ..states import State
from . import fan_out, shutdown

logger = logging.getLogger(__name__)
#: Who watches sees at once that something happens; an operation that ends sooner costs no beat.
_FIRST_SECONDS = 0.05


class Heartbeat(threading.Thread):
    """Beats until it is stopped. `state` is what the database last said; None means that the lease is lost."""

    def __init__(self, held: Operation, meter: Meter) -> None:
        super().__init__(name=f"lro-heartbeat-{held.pk}", daemon=True)
        self.state: State | None = State.RUNNING
        self._held, self._meter = held, meter
        self._stopping = threading.Event()
        self._last_beat = time.monotonic()
        self._grace_ends_at: float | None = None
        self._rolled_up_at = 0.0

    @property
    def must_stop(self) -> bool:
        return self.state is not State.RUNNING or shutdown.is_asked()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        settings = conf()
        try:
            pause = _FIRST_SECONDS
            while self.state is not None and not self._stopping.wait(pause):
                pause = settings.progress_seconds
                silence = time.monotonic() - self._last_beat
                self._end_a_grace()
                if self._meter.is_dirty or silence >= settings.heartbeat_seconds:
                    self._beat()
                if time.monotonic() - self._last_beat > settings.self_fence_seconds:
                    self.state = None
        finally:
            connection.close()

    def _end_a_grace(self) -> None:
        """Stop the attempt where `run` does not; the worker's main process then ends this one."""
        if self._grace_ends_at is None or time.monotonic() < self._grace_ends_at:
            return
        try:
            transitions.stop(self._held)
            self.state = None
        except (DatabaseError, InterfaceError) as error:
            logger.warning("operation %s: its cancel is finished at the next beat: %s", self._held.pk, error)
            connection.close()

    def _hear_cancel(self) -> None:
        if self.state is State.CANCELLING and self._grace_ends_at is None:
            left = self._held.cancel_grace - leases.asked_to_stop_for(self._held.pk)
            self._grace_ends_at = time.monotonic() + left.total_seconds()

    def _roll_up(self) -> None:
        """A child's progress is its parent's too, at most once a second."""
        if self._held.parent_id and time.monotonic() - self._rolled_up_at >= 1.0:
            self._rolled_up_at = time.monotonic()
            fan_out.roll_up(self._held.parent_id)

    def _beat(self) -> None:
        progress = self._meter.snapshot() if self._meter.is_dirty else None
        try:
            close_old_connections()
            self.state = leases.renew(self._held.pk, self._held.fence, progress)
            self._last_beat = time.monotonic()
            self._hear_cancel()
            self._roll_up()
        except (DatabaseError, InterfaceError) as error:  # tried again at the next beat, until the self-fence
            logger.warning("operation %s: a heartbeat failed: %s", self._held.pk, error)
            connection.close()
