"""A dataset's parts in batches: few enough cells to hold, many enough rows to be quick. The same on every reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lro import datasets

#: Larger ones are no quicker, and one is the most that a stop waits for. A part is made of some MB of a file: so many
#: of them are bounded in bytes too, however long the texts are.
BATCH_CELLS, BATCH_ROWS, BATCH_PARTS = 2_500_000, 200_000, 16


@dataclass(frozen=True, slots=True)
class Batch:
    """Parts that are read together; `first_row` counts from 1 over the whole dataset."""

    index: int
    parts: tuple[int, ...]
    first_row: int
    rows: int


def batches_of(part_rows: Sequence[int], columns: int) -> list[Batch]:
    """Parts in their order, until the cells of so many columns are enough for a batch."""
    wanted = max(1, min(BATCH_ROWS, BATCH_CELLS // max(1, columns)))
    found: list[Batch] = []
    parts: list[int] = []
    row, rows = 1, 0
    for part, count in enumerate(part_rows):
        parts.append(part)
        rows += count
        if rows >= wanted or len(parts) == BATCH_PARTS or part == len(part_rows) - 1:
            found.append(Batch(len(found), tuple(parts), row, rows))
            parts, row, rows = [], row + rows, 0
    return found


def read(dataset: datasets.Dataset, batch: Batch, columns: Sequence[str]) -> Any:
    """The batch as a polars DataFrame of these columns."""
    return dataset.read_frame(batch.parts, columns)
