"""For the tests of host projects, and our own: run operations here and now, hurt them, and check what must always hold.

with crash_after(checkpoints=2):
    operation = run_operation("shop.reprice", {"percent": 5}, owner)
assert operation.state == "succeeded"
assert_consistent()
"""

from .checker import assert_consistent, violations_of
from .documented import assert_documented, assert_resource
from .faults import Crash, cancel_after, crash_after, cut, duplicate, kill, lose_pushes, pause_after, steps, strike
from .following import followed
from .running import run_attempt, run_due, run_operation

__all__ = [
    "Crash",
    "assert_consistent",
    "assert_documented",
    "assert_resource",
    "cancel_after",
    "crash_after",
    "cut",
    "duplicate",
    "followed",
    "kill",
    "lose_pushes",
    "pause_after",
    "run_attempt",
    "run_due",
    "run_operation",
    "steps",
    "strike",
    "violations_of",
]
