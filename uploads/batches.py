"""What an import takes from a file, whatever its format: good rows, rejects, and where to go on."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .column_types import TypeTally

RAW_BYTES = 1024


@dataclass(frozen=True)
class RowReject:
    """One bad row: its physical line or row (from 1) and byte offset in the file, the column if one is to blame,
    and its text, cut at 1 KB, with NULs replaced. `offset` is None where rows have no place of their own."""

    line: int
    offset: int | None
    column: str
    code: str
    message: str
    raw: str


@dataclass(frozen=True)
class Batch:
    """Some consecutive rows of a file.

    `table` (a `pyarrow.Table`) holds the good ones, with as many columns as these rows have; `rejects` the others by
    ascending line. `cursor` is the JSON object from which the next batch is read, in another process if need be, and
    `fraction` (0 to 1) how much of the file is read.
    """

    table: Any
    rejects: list[RowReject]
    cursor: dict[str, Any]
    fraction: float

    @property
    def rows_read(self) -> int:
        return int(self.table.num_rows) + len(self.rejects)


class Source(Protocol):
    """A file of one format. The rows do not depend on where the batches end."""

    #: The types that a text of this format may be taken for: "7" is a number in CSV, but not in JSON.
    text_types: tuple[str, ...]

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        """The rows from `cursor` on, or all. Raises `Refusal` where the file cannot be read any further."""


def tallied(
    batches: Iterable[Batch], tally: TypeTally, declared: Container[str] = ()
) -> Generator[tuple[Batch, TypeTally], None, None]:
    """The batches, each with the tally of all rows up to its end; `declared` are the columns that are not tallied."""
    for batch in batches:
        tally.add(batch.table.drop_columns([name for name in batch.table.column_names if name in declared]))
        yield batch, tally.copy()
