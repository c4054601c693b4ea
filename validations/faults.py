"""What is wrong with a rule document, each fault with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake: a JSON pointer, a code, a sentence for people. `position` is the character within a text, from 1."""

    pointer: str
    code: str
    message: str
    position: int | None = None

    def to_json(self) -> dict[str, Any]:
        place = {} if self.position is None else {"position": self.position}
        return {"pointer": self.pointer, "code": self.code, "message": self.message, **place}


class BadRules(Exception):
    """A rule document that cannot be used, with all that is wrong in it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults[0].message)
        self.faults = faults


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: "; did you mean price?", or a full stop."""
    near = difflib.get_close_matches(word, list(known), n=2, cutoff=0.6) if len(word) <= 100 else []
    return f"; did you mean {' or '.join(near)}?" if near else "."
