"""CSV, TSV and the like: block after block of whole records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import blocks, parsing
from ..archives import PackedFile, PlainFile, open_unpacked
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
        start = blocks.Cursor(**cursor) if cursor else blocks.Cursor.at_data(self.layout)
        with open_unpacked(self.path, self.layout.compression) as file:
            for block in blocks.cut(file, self.layout, start, block_bytes=BLOCK_BYTES):
                parsed = parsing.parse(block, self.layout, self.types or None)
                yield Batch(parsed.table, parsed.rejects, vars(block.end), self._fraction(file, block))

    def _fraction(self, file: PlainFile | PackedFile, block: blocks.Block) -> float:
        """Of a plain file exactly; of a packed one as far as it was read, a block ahead."""
        return file.fraction if self.layout.compression else block.end.offset / file.size
