"""The look at a file before there is an operation: its format, its columns, and all that may be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import formats, layout
from .archives import compression_of
from .layout import Layout
from .refusals import Refusal

#: What a dataset's columns may take as JSON; the operation's result holds them, and has a limit.
_MAX_NAMES_BYTES = 240_000


def inspect(
    path: Path,
    filename: str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    sheet: str | None = None,
) -> Layout:
    """Find the layout of a file of any format. Raises Refusal, as each format does."""
    found = _inspect(path, filename, delimiter=delimiter, encoding=encoding, header=header, sheet=sheet)
    for number, name in enumerate(found.columns, start=1):
        if "\0" in name:
            raise Refusal("header_invalid", f"The name of column {number} contains U+0000, which cannot be stored.")
    size = sum(len(json.dumps({"name": name, "type": "datetime"})) + 2 for name in found.columns)
    if size > _MAX_NAMES_BYTES:
        words = f"The names of the {len(found.columns):,} columns are too long or too many: they take {size:,} bytes"
        limit = f"in a schema, and at most {_MAX_NAMES_BYTES:,} are allowed; shorten them, or leave columns out."
        raise Refusal("too_many_columns", f"{words} {limit}")
    return found


def _inspect(path: Path, filename: str, **options: Any) -> Layout:
    name = formats.Name.of(filename)
    packed, _ = layout.read_head(path, "", 4096)
    formats.check_packing(name, packed)
    compression = compression_of(packed)
    head, _ = layout.read_head(path, compression)
    kind = formats.decide(name, head, compression)
    formats.refuse_options(kind, options)
    if kind == "jsonl":
        from . import json_lines

        return json_lines.inspect(path, compression)
    if kind == "xlsx":
        from . import sheets

        return sheets.inspect(path, options["sheet"])
    if kind == "parquet":
        from . import parquet

        return parquet.inspect(path)
    unpacked = filename.rpartition(".")[0] if name.compression else filename
    return layout.inspect(
        path,
        unpacked,
        delimiter=options["delimiter"],
        encoding=options["encoding"],
        has_header=options["header"] is not False,
        compression=compression,
    )
