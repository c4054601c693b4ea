"""Where the rows of an import come from: one source for each format, which the layout names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..batches import Source
from ..layout import Layout


def source_of(path: Path, layout: Layout, types: Mapping[str, str]) -> Source:
    """The rows of the file at `path`, columns of `types` in those types, in a worker only: it loads pyarrow."""
    if layout.format == "jsonl":
        from .json_lines import JsonLinesSource

        return JsonLinesSource(path, layout, types)
    if layout.format == "xlsx":
        from .workbook import WorkbookSource

        return WorkbookSource(path, layout, types)
    if layout.format == "parquet":
        from .parquet import ParquetSource

        return ParquetSource(path, layout, types)
    from .delimited import DelimitedSource

    return DelimitedSource(path, layout, types)
