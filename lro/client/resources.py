"""The resources as frozen, typed values. Fields that this version does not know are kept in `raw`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from .errors import InvalidAnswer, OperationFailed

Raw = Mapping[str, Any]
Resource = TypeVar("Resource")
TERMINAL = frozenset({"succeeded", "failed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation is. `percent` is from 0 to 100, None while the total is unknown."""

    current: float | None
    total: float | None
    unit: str
    percent: float | None
    step: str
    message: str
    rate: float | None
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One requested piece of long work, as the server described it at one moment."""

    id: str
    name: str
    state: str
    done: bool
    progress: Progress
    result: Any
    error: Raw | None
    rejected: int
    attempt: int
    max_attempts: int
    parent_id: str | None
    root_id: str
    owner: str | None
    input: Any
    tags: tuple[str, ...]
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    sequence: int
    links: Mapping[str, str]
    raw: Raw = field(repr=False)

    def raise_for_state(self) -> Operation:
        """The operation itself. Raises `OperationFailed` where it failed, expired or was cancelled."""
        if self.done and self.state != "succeeded":
            raise OperationFailed(self)
        return self

    def after(self, event: Event) -> Operation:
        """The operation as it is after an event that it has not seen yet, as far as the event tells."""
        if event.sequence <= self.sequence:
            return self
        changes: dict[str, Any] = {"sequence": event.sequence, "attempt": event.attempt}
        if event.kind == "progress":
            progress = {key: value for key, value in event.data.items() if key != "rejected"}
            changes |= {"progress": {**self.raw["progress"], **progress}}
            changes |= {"rejected": event.data.get("rejected", self.rejected)}
        return operation({**self.raw, **changes})


@dataclass(frozen=True, slots=True)
class Event:
    """An immutable fact about one operation.

    A progress event may stand for the `merged` progress events right before it too, which were not sent.
    """

    operation: str
    root: str
    sequence: int
    kind: str
    attempt: int
    time: datetime | None
    data: Raw
    merged: int = 0
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_terminal(self) -> bool:
        return self.kind in TERMINAL


@dataclass(frozen=True, slots=True)
class Reject:
    """One item of the input that could not be processed: where it stands, and why."""

    position: int
    offset: int | None
    column: str
    code: str
    message: str
    raw_text: str
    raw: Raw = field(repr=False)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that an operation produced. `size` is in bytes, `sha256` in hexadecimal digits."""

    id: str
    operation: str
    name: str
    size: int
    sha256: str
    content_type: str
    created_at: datetime | None
    raw: Raw = field(repr=False)


def _tolerant(parse: Callable[..., Resource]) -> Callable[..., Resource]:
    def parsed(raw: Any, *context: Any) -> Resource:
        try:
            return parse(raw, *context)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidAnswer(f"The server's {parse.__name__} cannot be read: {error!r}") from error

    return parsed


@_tolerant
def operation(raw: Raw) -> Operation:
    """Raises `InvalidAnswer`, as all of these do."""
    return Operation(
        id=str(raw["id"]),
        name=str(raw["name"]),
        state=str(raw["state"]),
        done=bool(raw["done"]),
        progress=_progress(raw.get("progress") or {}),
        result=raw.get("result"),
        error=raw.get("error"),
        rejected=int(raw.get("rejected") or 0),
        attempt=int(raw.get("attempt") or 0),
        max_attempts=int(raw.get("max_attempts") or 0),
        parent_id=raw.get("parent_id"),
        root_id=str(raw.get("root_id") or raw["id"]),
        owner=raw.get("owner"),
        input=raw.get("input"),
        tags=tuple(raw.get("tags") or ()),
        created_at=_time(raw.get("created_at")),
        started_at=_time(raw.get("started_at")),
        finished_at=_time(raw.get("finished_at")),
        sequence=int(raw["sequence"]),
        links=dict(raw.get("links") or {}),
        raw=raw,
    )


def _progress(raw: Raw) -> Progress:
    return Progress(
        current=raw.get("current"),
        total=raw.get("total"),
        unit=str(raw.get("unit") or ""),
        percent=raw.get("percent"),
        step=str(raw.get("step") or ""),
        message=str(raw.get("message") or ""),
        rate=raw.get("rate"),
        eta_seconds=raw.get("eta_seconds"),
    )


@_tolerant
def event(raw: Raw, merged: int = 0) -> Event:
    return Event(
        operation=str(raw["operation"]),
        root=str(raw.get("root") or raw["operation"]),
        sequence=int(raw["sequence"]),
        kind=str(raw["kind"]),
        attempt=int(raw.get("attempt") or 0),
        time=_time(raw.get("time")),
        data=dict(raw.get("data") or {}),
        merged=max(0, int(merged)),
        raw=raw,
    )


@_tolerant
def reject(raw: Raw) -> Reject:
    return Reject(
        position=int(raw["position"]),
        offset=raw.get("offset"),
        column=str(raw.get("column") or ""),
        code=str(raw["code"]),
        message=str(raw.get("message") or ""),
        raw_text=str(raw.get("raw") or ""),
        raw=raw,
    )


@_tolerant
def artifact(raw: Raw, operation: str) -> Artifact:
    return Artifact(
        id=str(raw["id"]),
        operation=operation,
        name=str(raw["name"]),
        size=int(raw["size"]),
        sha256=str(raw["sha256"]),
        content_type=str(raw.get("content_type") or ""),
        created_at=_time(raw.get("created_at")),
        raw=raw,
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
