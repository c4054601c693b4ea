"""CSV, TSV and the like: block after block of whole records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import blocks, parsing
from ..archives import PackedFile, PlainFile, open_unpacked
from ..batches import Batch
from ..column_types import CANDIDATES
from ..layout import Layout
from ..ranges import Range
from ..table_schema import Schema

#: At most. A checkpoint costs some 6 ms of processor time: with half of it, large files came in a seventh more slowly.
BLOCK_BYTES = 8 * 2**20


def block_bytes(path: Path) -> int:
    """How much of a file is read at once: of a smaller one less, so that its progress is seen too."""
    return min(BLOCK_BYTES, max(2 * 2**20, path.stat().st_size // 16))


class DelimitedSource:
    text_types: tuple[str, ...] = CANDIDATES

    def __init__(self, path: Path, layout: Layout, schema: Schema, part: Range | None = None) -> None:
        self.path, self.layout, self.schema = path, layout, schema
        self.first = part.start if part else blocks.Cursor.at_data(layout)
        self.stop = part.stop if part else None

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        start = blocks.Cursor(**cursor) if cursor else self.first
        with open_unpacked(self.path, self.layout.compression) as file:
            for block in blocks.cut(file, self.layout, start, block_bytes=block_bytes(self.path), stop=self.stop):
                parsed = parsing.parse(block, self.layout, self.schema)
                yield Batch(parsed.table, parsed.rejects, vars(block.end), self._fraction(file, block))

    def _fraction(self, file: PlainFile | PackedFile, block: blocks.Block) -> float:
        """Of a plain file, or a range of it, exactly; of a packed one as far as it was read, a block ahead."""
        if self.layout.compression:
            return file.fraction
        first = self.first.offset
        return min(1.0, (block.end.offset - first) / max(1, (self.stop or file.size) - first))
