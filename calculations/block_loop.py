"""One worker's blocks, one after another: progress, partial results, checkpoints, and the wish to end early."""

from __future__ import annotations

from typing import Any

from lro import OperationContext

from .calculation import Calculation
from .models import EarlyEnd
from .pace import Pace

#: Seconds between two partial results, two checkpoints, and two looks for a wish to end.
TELL_SECONDS = 0.25
SAVE_SECONDS = 0.5
LOOK_SECONDS = 0.25


class BlockLoop:
    """Blocks `first` to `last` of the calculation that the operation `whole` was started for."""

    def __init__(self, op: OperationContext, calculation: Calculation, whole: str, first: int, last: int) -> None:
        self.op, self.calculation, self.whole, self.first, self.last = op, calculation, whole, first, last
        self.is_ended_early = False
        self._has_looked = False
        self._tell, self._save, self._look = Pace(TELL_SECONDS), Pace(SAVE_SECONDS), Pace(LOOK_SECONDS)

    def compute(self, tally: Any, start: int, end: int, cursor: dict[str, Any]) -> int:
        """Add blocks to `tally`, at least one; before which block it ended. `cursor` is kept beside the tally."""
        for block in range(start, end):
            self._report(block)
            self.calculation.add(tally, block)
            self._pause_for(tally, block + 1, cursor)
            if self.is_ended_early:
                return block + 1
        self._report(end)
        return end

    def _report(self, block: int) -> None:
        units = self.calculation.units
        begin = units(self.first)
        self.op.progress(units(block) - begin, units(self.last) - begin, unit=self.calculation.unit)

    def _pause_for(self, tally: Any, done: int, cursor: dict[str, Any]) -> None:
        if not self._has_looked or self._look.is_due:
            self._has_looked = True
            with self._look.taken():
                self.is_ended_early = EarlyEnd.is_wanted(self.whole)
        if self._tell.is_due:
            with self._tell.taken():
                tell(self.op, self.calculation, tally, done)
        if self._save.is_due:
            with self._save.taken():
                self.op.checkpoint({"done": done, "tally": tally.to_json(), **cursor})


def tell(op: OperationContext, calculation: Calculation, tally: Any, done: int) -> None:
    """What the answer would be now, for the people who watch."""
    told = calculation.partial(tally)
    op.event("calculations.partial", {"blocks": done, "of": calculation.blocks, **told})
