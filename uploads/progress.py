"""How far an import has come, and what it has met: what its checkpoint holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .batches import Batch
from .column_types import TypeTally

#: How many rejects the message of a failure shows.
_FIRST = 3


@dataclass
class Progress:
    """`source` is the source's cursor of the next batch, `recorded` how many of the rejects are kept as rows."""

    tally: TypeTally
    source: dict[str, Any] | None = None
    fraction: float = 0.0
    part: int = 0
    rows: int = 0
    rejected: int = 0
    recorded: int = 0
    bytes: int = 0
    seconds: float = 0.0
    first: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "codes": dict(self.codes), "tally": self.tally.to_json()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Progress:
        tally = TypeTally.from_json(stored["tally"])
        return cls(**{**stored, "codes": Counter(stored["codes"]), "tally": tally})

    @property
    def rows_read(self) -> int:
        return self.rows + self.rejected

    def advance(self, batch: Batch, recorded: int, part: dict[str, Any] | None) -> None:
        """Count in a batch, and the part that was made of it, if any."""
        self.source, self.fraction = batch.cursor, batch.fraction
        self.rows += batch.table.num_rows
        self.recorded += recorded
        self._meet(len(batch.rejects), [reject.message for reject in batch.rejects[:_FIRST]])
        self.codes.update(reject.code for reject in batch.rejects)
        if part is not None:
            self.part += 1
            self.bytes += part["bytes"]

    def _meet(self, rejected: int, messages: Sequence[str]) -> None:
        self.rejected += rejected
        self.first += messages[: _FIRST - len(self.first)]

    @classmethod
    def of_ranges(cls, ranges: Iterable[Progress], text_types: tuple[str, ...]) -> Progress:
        """All ranges of a file together, given in their order."""
        whole = cls(TypeTally(text_types=text_types), fraction=1.0)
        for one in ranges:
            whole.tally.merge(one.tally)
            whole.rows += one.rows
            whole.bytes += one.bytes
            whole.part += one.part
            whole._meet(one.rejected, one.first)
            whole.codes.update(one.codes)
        return whole
