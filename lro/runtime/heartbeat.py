"""The proof of life of an attempt: a thread that renews the lease, writes the progress, and hears what is asked."""

from __future__ import annotations

import logging
import os
import threading
import time
from queue import Empty, SimpleQueue
from typing import ClassVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction

from ..conf import conf
from ..events.progress import Meter
from ..exceptions import InvalidValue
from ..lifecycle import leases, transitions
from ..models import Operation
from ..states import STOPPING, State
from . import fan_out, shutdown

logger = logging.getLogger(__name__)
#: Who watches sees at once that something happens; an operation that ends sooner costs no beat.
_FIRST_SECONDS = 0.05
#: So long a connection is kept for the next attempt.
_IDLE_SECONDS = 0.5


class Heartbeat:
    """Beats until it is stopped. `state` is what the database last said; None means that the lease is lost."""

    def __init__(self, held: Operation, meter: Meter) -> None:
        self.state: State | None = State.RUNNING
        #: Why the progress could not be written: the author hears of it, and the lease is renewed without.
        self.refusal: Exception | None = None
        self._held, self._meter = held, meter
        self._stopping, self._stopped = threading.Event(), threading.Event()
        self._last_beat, self._self_fence_seconds = time.monotonic(), conf().self_fence_seconds
        self._patience_seconds = conf().heartbeat_seconds / 2
        self._grace_ends_at: float | None = None
        self._rolled_up_at = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether the lease is, or may be: the thread itself can hang, where the database does not answer."""
        return self.state is None or time.monotonic() - self._last_beat > self._self_fence_seconds

    @property
    def must_stop(self) -> bool:
        is_asked = self.state is not State.RUNNING or shutdown.is_asked()
        return is_asked or self.refusal is not None or self.is_lost

    def start(self) -> None:
        _Pacemaker.free().take(self)

    def stop(self) -> None:
        self._stopping.set()
        self._stopped.wait()

    def live(self) -> None:
        settings = conf()
        pause = _FIRST_SECONDS
        while self.state is not None and not self._stopping.wait(pause):
            pause = settings.progress_seconds
            silence = time.monotonic() - self._last_beat
            self._end_a_grace()
            if self._meter.is_dirty or silence >= settings.heartbeat_seconds:
                self._beat()
            if self.is_lost:
                self.state = None

    def end(self) -> None:
        self._stopped.set()

    def _end_a_grace(self) -> None:
        """Stop the attempt where `run` does not; the worker's main process then ends this one."""
        if self._grace_ends_at is None or time.monotonic() < self._grace_ends_at:
            return
        try:
            transitions.stop(self._held)
            self.state = None
        except (DatabaseError, InterfaceError) as error:
            logger.warning("operation %s: its stop is finished at the next beat: %s", self._held.pk, error)
            connection.close()

    def _hear_stop(self, before: State | None) -> None:
        """A cancel has a grace of its own, also after a pause."""
        if self.state is not before and self.state in STOPPING:
            left = self._held.cancel_grace - leases.asked_to_stop_for(self._held.pk)
            self._grace_ends_at = time.monotonic() + left.total_seconds()

    def _roll_up(self) -> None:
        """A child's progress is its parent's too, at most once a second."""
        if self._held.parent_id and time.monotonic() - self._rolled_up_at >= 1.0:
            self._rolled_up_at = time.monotonic()
            fan_out.roll_up(self._held.parent_id)

    def _beat(self) -> None:
        before, began = self.state, time.monotonic()
        try:
            close_old_connections()
            with transaction.atomic():
                is_free = leases.lock(self._held.pk)
                if not is_free and began - self._last_beat < self._patience_seconds:
                    return  # a batch is being written, which tells the progress itself
                # One batch after the other may never leave the row free at the right moment: then it is waited for,
                # without a progress, as that would be older than the batch's own.
                progress = self._meter.snapshot() if is_free and self._meter.is_dirty else None
                self.state = leases.renew(self._held.pk, self._held.fence, progress)
            self._last_beat = began  # the lease counts from when it was renewed, not from when that was heard
            self._hear_stop(before)
            self._roll_up()
        except (InvalidValue, TypeError, ValueError, ArithmeticError) as error:
            self.refusal = error
        except (DatabaseError, InterfaceError) as error:  # tried again at the next beat, until the self-fence
            logger.warning("operation %s: a heartbeat failed: %s", self._held.pk, error)
            connection.close()


class _Pacemaker(threading.Thread):
    """Lives one heartbeat after another: their connection outlives them, as it costs more than a short attempt."""

    _free: ClassVar[list[_Pacemaker]] = []

    def __init__(self) -> None:
        super().__init__(name="lro-heartbeat", daemon=True)
        self._taken: SimpleQueue[Heartbeat] = SimpleQueue()

    @classmethod
    def free(cls) -> _Pacemaker:
        """One that is free, or a new one: a process may run several attempts at once."""
        try:
            return cls._free.pop()
        except IndexError:
            fresh = cls()
            fresh.start()
            return fresh

    @classmethod
    def forget(cls) -> None:
        """In a process that was just forked: the threads belong to the parent."""
        cls._free = []

    def take(self, heartbeat: Heartbeat) -> None:
        self._taken.put(heartbeat)

    def run(self) -> None:
        while True:
            heartbeat = self._await_next()
            try:
                heartbeat.live()
            except Exception:
                heartbeat.state = None
                logger.exception("a heartbeat broke off; its attempt ends")
            self._free.append(self)
            heartbeat.end()

    def _await_next(self) -> Heartbeat:
        try:
            return self._taken.get(timeout=_IDLE_SECONDS)
        except Empty:
            connection.close()
            return self._taken.get()


os.register_at_fork(after_in_child=_Pacemaker.forget)
