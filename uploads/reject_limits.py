"""How many bad rows an import may meet, and what happens beyond."""

from __future__ import annotations

import re
from dataclasses import dataclass

ON_LIMIT = ("fail", "stop_recording")
#: What is recorded where the request sets no limit: a file that is bad from end to end must not fill the database.
RECORDED = 1_000_000
_COUNT = re.compile(r"[0-9]{1,12}")
_SHARE = re.compile(r"(0?\.[0-9]+|1\.0*)|([0-9]+(?:\.[0-9]+)?)%")
#: A share of few rows says little.
_ENOUGH_ROWS = 10_000


@dataclass(frozen=True)
class RejectLimit:
    """`count` rejects, or a `share` of all rows (0 to 1). The share is judged from 10,000 rows on, and at the end."""

    count: int | None = None
    share: float | None = None
    fails: bool = True

    @classmethod
    def read(cls, text: str, on_limit: str) -> RejectLimit:
        """From "100", "0.05" or "5%". Raises ValueError."""
        fails = on_limit == "fail"
        if _COUNT.fullmatch(text):
            return cls(count=int(text), fails=fails)
        match = _SHARE.fullmatch(text)
        share = (float(match[1]) if match[1] else float(match[2]) / 100) if match else 2.0
        if share > 1:
            raise ValueError(f"'{text}' is neither a count such as 100 nor a share such as 0.05 or 5%.")
        return cls(share=share, fails=fails)

    def room(self, recorded: int) -> int:
        """How many more rejects are recorded. Of a failing import one more than may be: the one that broke it."""
        if self.count is None:
            return max(0, RECORDED - recorded)
        return max(0, self.count + self.fails - recorded)

    def is_exceeded(self, rejected: int, rows: int, *, at_end: bool) -> bool:
        """Whether the import must fail: `rows` are all that were read, good and bad."""
        if not self.fails:
            return False
        if self.count is not None:
            return rejected > self.count
        if self.share is None or not (at_end or rows >= _ENOUGH_ROWS):
            return False
        return rejected > self.share * rows

    def __str__(self) -> str:
        return f"{self.count:,}" if self.count is not None else f"{self.share or 0:.4%} of the".replace(".0000", "")
