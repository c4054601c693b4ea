"""The states of an operation and every legal move between them: pure data."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED})
ACTIVE = frozenset(State) - TERMINAL
#: States in which one worker holds the lease and may write.
HELD = frozenset({State.RUNNING, State.PAUSING, State.CANCELLING})
#: Its worker was asked to stop.
STOPPING = frozenset({State.PAUSING, State.CANCELLING})
#: States that a worker neither holds nor has finished: nothing runs, nothing is lost.
PARKED = frozenset({State.QUEUED, State.RETRYING, State.PAUSED, State.WAITING})

MOVES: dict[tuple[State, State], str] = {
    (State.QUEUED, State.RUNNING): "a worker claimed it",
    (State.QUEUED, State.PAUSED): "paused before a worker claimed it",
    (State.QUEUED, State.CANCELLED): "cancelled before a worker claimed it",
    (State.QUEUED, State.EXPIRED): "nobody claimed it before its deadline",
    (State.RUNNING, State.SUCCEEDED): "its work is done",
    (State.RUNNING, State.FAILED): "it failed, and another attempt would not help",
    (State.RUNNING, State.RETRYING): "the attempt failed or was lost, and another one may help",
    (State.RUNNING, State.QUEUED): "its worker gave it back, as at a deploy",
    (State.RUNNING, State.WAITING): "it waits for its children",
    (State.RUNNING, State.PAUSING): "somebody asked for a pause",
    (State.RUNNING, State.CANCELLING): "somebody asked to cancel it",
    (State.RUNNING, State.EXPIRED): "it ran into its deadline",
    (State.WAITING, State.QUEUED): "its last child ended",
    (State.WAITING, State.FAILED): "a child failed",
    (State.WAITING, State.PAUSED): "paused while it waited for its children",
    (State.WAITING, State.CANCELLED): "cancelled while it waited for its children",
    (State.WAITING, State.EXPIRED): "its deadline passed while it waited for its children",
    (State.RETRYING, State.QUEUED): "its back-off is over",
    (State.RETRYING, State.PAUSED): "paused during its back-off",
    (State.RETRYING, State.CANCELLED): "cancelled during its back-off",
    (State.RETRYING, State.EXPIRED): "its deadline passed during its back-off",
    (State.PAUSING, State.PAUSED): "its worker stopped at a checkpoint, or died",
    (State.PAUSING, State.EXPIRED): "it ran into its deadline while it was stopping",
    (State.PAUSING, State.CANCELLING): "cancelled while it was stopping",
    (State.PAUSING, State.SUCCEEDED): "its work was done before it noticed the pause",
    (State.PAUSING, State.FAILED): "it failed before it noticed the pause",
    (State.PAUSED, State.QUEUED): "somebody resumed it",
    (State.PAUSED, State.WAITING): "somebody resumed it, and its children go on",
    (State.PAUSED, State.CANCELLED): "cancelled while it was paused",
    (State.PAUSED, State.EXPIRED): "its deadline passed while it was paused",
    (State.CANCELLING, State.CANCELLED): "its worker stopped, died, or did not listen within the grace",
    (State.CANCELLING, State.SUCCEEDED): "its work was done before it noticed",
    (State.FAILED, State.QUEUED): "somebody retried it",
    (State.CANCELLED, State.QUEUED): "somebody retried it",
}


def sources(target: State) -> frozenset[State]:
    """The states from which `target` may be entered."""
    return frozenset(source for source, to in MOVES if to is target)


def is_legal(source: State, target: State) -> bool:
    return (source, target) in MOVES
