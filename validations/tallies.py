"""What was measured so far: a few numbers for each rule, whatever the length of the table. Pure.

Tallies of batches fold into the tally of the whole with the same digits, however the batches were shared out: sums of
floats are kept as fractions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

Measures = dict[str, Any]


class Tally:
    """Measures by the id of their rule, and why a rule could not be measured."""

    def __init__(self, rules: dict[str, Measures] | None = None, errors: dict[str, str] | None = None) -> None:
        self.rules = rules or {}
        self.errors = errors or {}

    def add(self, rule: str, measured: Measures) -> None:
        """Count in what one batch measured. A float under `sum` becomes a fraction, as text."""
        mine = self.rules.setdefault(rule, {})
        for name, value in measured.items():
            mine[name] = _folded(name, mine.get(name), value)

    def fail(self, rule: str, message: str) -> None:
        """The rule cannot be measured. The first reason is kept."""
        self.errors.setdefault(rule, message[:200])

    def merge(self, other: Tally) -> None:
        for rule, measured in other.rules.items():
            self.add(rule, measured)
        for rule, message in other.errors.items():
            self.fail(rule, message)

    def failed(self, rule: str) -> int:
        return int(self.rules.get(rule, {}).get("failed", 0))

    def to_json(self) -> dict[str, Any]:
        return {"rules": self.rules, "errors": self.errors}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Tally:
        return cls(stored["rules"], stored["errors"])


def _folded(name: str, mine: Any, value: Any) -> Any:
    if name == "sum":
        return str(Fraction(mine or 0) + Fraction(value or 0))
    if name == "newest":
        found = [each for each in (mine, value) if each is not None]
        return max(found, default=None)  # ISO 8601 texts of one form sort as times
    return (mine or 0) + (value or 0)
