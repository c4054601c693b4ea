"""What every calculation here is: blocks of work, each known by its number, and a tally that they are added to.

A block's part of the answer depends on its number and the input alone, and tallies add without rounding or as whole
numbers. So the answer is the same to the last digit however the blocks are dealt out, stopped, lost and done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

from lro import Fail

Own = TypeVar("Own", bound="Tally")


class Tally(Protocol):
    """Of bounded size, whatever the number of blocks."""

    def merge(self: Own, other: Own) -> None: ...
    def to_json(self) -> Any: ...


class Table(NamedTuple):
    """What is too long for the result, and becomes a CSV file."""

    name: str
    header: list[str]
    rows: Iterator[list[Any]]


class Calculation:
    """The input of one calculation, and what is done with it. A base class of small hooks."""

    #: How many blocks there are.
    blocks: int
    #: What is counted for the people who watch, and how many of these all blocks are.
    unit: str = "blocks"
    total: int
    #: The blocks of the first round; each later one goes on to four times as many. Where rounds end is a matter of the
    #: input alone, so that whether an answer is good enough does not depend on who computed it.
    first_round: int = 16

    def load(self, check: Callable[[], None]) -> None:
        """Read what all blocks need; `check` is called often, and raises where that should end."""

    def empty(self) -> Any:
        raise NotImplementedError

    def read(self, data: Any) -> Any:
        """The tally that `to_json` wrote."""
        raise NotImplementedError

    def add(self, tally: Any, block: int) -> None:
        """Compute a block, within about a tenth of a second. Raises `Fail`, which names the block."""
        raise NotImplementedError

    def units(self, blocks: int) -> int:
        """How far the work has come after so many blocks."""
        return self.total * blocks // max(1, self.blocks)

    def next_round(self, tally: Any, done: int) -> int:
        """How many blocks there are at the end of the round that begins now."""
        return min(self.blocks, max(self.first_round, 4 * done))

    def is_precise(self, tally: Any) -> bool:
        """Whether the answer is as good as was asked for."""
        return False

    def point(self, tally: Any) -> dict[str, Any]:
        """A few figures of the answer, by which its convergence is seen."""
        return {}

    def answer(self, tally: Any) -> dict[str, Any]:
        """What the blocks so far say: of one size, and the result once all are there."""
        raise NotImplementedError

    def partial(self, tally: Any) -> dict[str, Any]:
        """What is told of the answer while it is computed: at most 64 KB."""
        return self.answer(tally)

    def tables(self, tally: Any) -> list[Table]:
        return []

    def provenance(self) -> dict[str, Any]:
        """What it takes to get the same digits again."""
        return {}


def not_finite(block: int, what: str) -> Fail:
    return Fail("not_finite", f"Block {block}: {what} is not a finite number.", [{"block": block}])
