"""CSV, TSV and the like: block after block of whole records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import blocks, parsing
from ..batches import Batch
from ..column_types import CANDIDATES
from ..layout import Layout

#: Half the memory of 4 MiB at the same speed, a smoother bar, and a cancel that is heard sooner.
BLOCK_BYTES = 2 * 2**20


class DelimitedSource:
    text_types: tuple[str, ...] = CANDIDATES

    def __init__(self, path: Path, layout: Layout, types: Mapping[str, str]) -> None:
        self.path, self.layout, self.types = path, layout, types

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        size = max(1, self.path.stat().st_size)
        start = blocks.Cursor(**cursor) if cursor else blocks.Cursor.at_data(self.layout)
        for block in blocks.blocks(self.path, self.layout, start, block_bytes=BLOCK_BYTES):
            parsed = parsing.parse(block, self.layout, self.types or None)
            yield Batch(parsed.table, parsed.rejects, vars(block.end), block.end.offset / size)
