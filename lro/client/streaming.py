"""One socket and what it is opened for, as steps: connect, converse, come back, and poll where there is no socket."""

from __future__ import annotations

from typing import Any

from .backoff import full_jitter
from .calls import Calls
from .effects import Close, Give, Hear, Lost, Open, Renew, Say, Sleep, Steps
from .errors import ClientError, Problem, SignedOut
from .following import Subject, parse
from .heartbeat import Heartbeat
from .resources import Operation
from .watching import Watching

NOT_AUTHENTICATED = 4401
_FAILURES_BEFORE_POLLING = 3
_POLL_EVERY = 2.0
_STEADY_AFTER = 10.0
_READY_WITHIN = 8.0
_AT_A_TIME = 200


class Stream:
    """Gives what a subject delivers until it is over, whatever happens to the socket meanwhile.

    A socket that did not last is a failure. After three in a row the record is polled between the tries.
    """

    def __init__(self, calls: Calls, subject: Subject[Any]) -> None:
        self._calls, self._subject = calls, subject
        self._failures = self._rejections = 0
        self._token = ""
        self._opened_at = self._well_at = calls.clock()

    def run(self) -> Steps[None]:
        """Raises `Problem` where it cannot be followed, `SignedOut`, and `Unreachable` when the patience is over."""
        while not self._subject.is_over:
            try:
                yield from self._connect()
                yield from self._converse()
            except (Lost, Problem) as error:
                yield Close()
                yield from self._give()
                yield from self._recover(error)
        yield Close()

    # While there is a socket

    def _connect(self) -> Steps[None]:
        self._opened_at = self._calls.clock()
        self._token = yield from self._calls.token()
        yield Open(self._token)
        yield from self._await_ready()
        self._rejections = 0
        for frame in self._subject.subscriptions():
            yield Say(frame)

    def _await_ready(self) -> Steps[None]:
        deadline = self._calls.clock() + _READY_WITHIN
        while (left := deadline - self._calls.clock()) > 0:
            text = yield Hear(left)
            if text is not None and parse(text).get("type") == "ready":
                return
        raise Lost

    def _converse(self) -> Steps[None]:
        heartbeat = Heartbeat(self._calls.clock())
        while not self._subject.is_over:
            text = yield Hear(heartbeat.wait(self._calls.clock()))
            if text is not None:
                self._well_at = self._calls.clock()
                heartbeat.heard()
                yield from self._take_in(text)
            elif heartbeat.is_silent(self._calls.clock()):
                raise Lost
            if heartbeat.is_due(self._calls.clock()) and not self._subject.is_over:
                yield Say({"type": "ping", "sequences": self._subject.sequences()})
                heartbeat.pinged(self._calls.clock())

    def _take_in(self, text: str | None) -> Steps[None]:
        """A frame, and where only the newest value counts those that have come behind it already."""
        for _ in range(_AT_A_TIME):
            if text is None:
                break
            frame = parse(text)
            self._subject.feed(frame)
            if frame.get("type") == "token_expiring":
                yield from self._renew()
            text = (yield Hear(0)) if self._subject.is_latest_enough else None
        yield from self._satisfy()

    def _renew(self) -> Steps[None]:
        try:
            self._token = yield Renew(self._token)
        except ClientError:
            return  # the token is good for a while yet; when it is not, the close will say so
        yield Say({"type": "authenticate", "token": self._token})

    # Between two sockets

    def _recover(self, error: Lost | Problem) -> Steps[None]:
        now = self._calls.clock()
        if isinstance(error, Problem) and (error.status < 500 or now - self._well_at > self._calls.patience):
            raise error
        if isinstance(error, Lost) and error.code == NOT_AUTHENTICATED:
            yield from self._authenticate_again()
            return
        self._failures = 1 if now - self._opened_at > _STEADY_AFTER else self._failures + 1
        pause = full_jitter(self._failures, self._calls.random, base=0.25, cap=30.0)
        if self._failures >= _FAILURES_BEFORE_POLLING:
            yield from self._poll(now + pause)
        else:
            yield Sleep(pause)

    def _authenticate_again(self) -> Steps[None]:
        self._rejections += 1
        if self._rejections > 1:
            raise SignedOut("The server does not take the token that it has just given.")
        yield Renew(self._token)

    def _poll(self, until: float) -> Steps[None]:
        """Read the record instead, at least once."""
        while not self._subject.is_over:
            self._subject.suspect()
            try:
                yield from self._satisfy()
            except Problem as error:
                if error.status < 500 or self._calls.clock() - self._well_at > self._calls.patience:
                    raise
            else:
                self._well_at = self._calls.clock()
            left = until - self._calls.clock()
            if self._subject.is_over or left <= 0:
                return
            yield Sleep(min(_POLL_EVERY, left))

    # The record

    def _satisfy(self) -> Steps[None]:
        """Read what the subject wants, and give what it can deliver."""
        yield from self._give()
        while (wanted := self._subject.wanted()) is not None:
            if wanted.after is None:
                self._subject.learn((yield from self._calls.get(wanted.operation)))
            else:
                page = yield from self._calls.events_page(wanted.operation, wanted.after)
                self._subject.fill(wanted.operation, *page)
            yield from self._give()

    def _give(self) -> Steps[None]:
        for value in self._subject.take():
            yield Give(value)
            self._well_at = self._calls.clock()  # however long the caller took, the server is not to blame


def wait(calls: Calls, operation: str) -> Steps[Operation]:
    """Wait until the operation is done."""
    watching = Watching(operation)
    yield from Stream(calls, watching).run()
    return watching.state
