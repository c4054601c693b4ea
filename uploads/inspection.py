"""The look at a file before there is an operation: its format, its columns, and all that may be wrong with them."""

from __future__ import annotations

from pathlib import Path

from . import formats, layout
from .archives import compression_of
from .layout import Layout


def inspect(
    path: Path,
    filename: str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> Layout:
    """Find the layout of a file of any format. Raises Refusal, as each format does."""
    name = formats.Name.of(filename)
    packed, _ = layout.read_head(path, "", 4096)
    formats.check_packing(name, packed)
    compression = compression_of(packed)
    head, _ = layout.read_head(path, compression)
    kind = formats.decide(name, head, compression)
    formats.refuse_options(kind, {"delimiter": delimiter, "encoding": encoding, "sheet": sheet})
    if kind == "jsonl":
        from . import json_lines

        return json_lines.inspect(path, compression)
    if kind == "xlsx":
        from . import sheets

        return sheets.inspect(path, sheet)
    if kind == "parquet":
        from . import parquet

        return parquet.inspect(path)
    unpacked = filename.rpartition(".")[0] if name.compression else filename
    return layout.inspect(path, unpacked, delimiter=delimiter, encoding=encoding, compression=compression)
