"""Where the rows of an import come from: one source for each format, which the layout names."""

from __future__ import annotations

from pathlib import Path

from ..batches import Source
from ..layout import Layout
from ..table_schema import Schema


def source_of(path: Path, layout: Layout, schema: Schema) -> Source:
    """The rows of the file at `path`, columns of `schema` as it says, in a worker only: it loads pyarrow."""
    if layout.format == "jsonl":
        from .json_lines import JsonLinesSource

        return JsonLinesSource(path, layout, schema)
    if layout.format == "xlsx":
        from .workbook import WorkbookSource

        return WorkbookSource(path, layout, schema)
    if layout.format == "parquet":
        from .parquet import ParquetSource

        return ParquetSource(path, layout, schema)
    from .delimited import DelimitedSource

    return DelimitedSource(path, layout, schema)
