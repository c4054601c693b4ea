"""How the tests read a file: whole, in blocks of any size, resumed anywhere."""

from pathlib import Path
from typing import Any

from uploads.blocks import BLOCK_BYTES, Cursor, blocks
from uploads.layout import Layout, inspect
from uploads.parsing import RowReject, parse


def layout_of(columns: int, *, delimiter: str = ",", encoding: str = "utf-8") -> Layout:
    """A layout of a file without a header."""
    names = tuple(f"c{number}" for number in range(columns))
    return Layout("csv", encoding, delimiter, '"', names, data_offset=0, data_line=1)


def read_all(
    path: Path, layout: Layout, *, block_bytes: int = BLOCK_BYTES, start: Cursor | None = None
) -> tuple[list[list[str]], list[RowReject]]:
    """Good rows, null as "", and rejects of the rest of a file."""
    rows: list[list[str]] = []
    rejects: list[RowReject] = []
    for block in blocks(path, layout, start or Cursor.at_data(layout), block_bytes=block_bytes):
        parsed = parse(block, layout)
        assert parsed.rows_read == parsed.table.num_rows + len(parsed.rejects)
        rows += rows_of(parsed.table)
        rejects += parsed.rejects
    return rows, rejects


def rows_of(table: Any) -> list[list[str]]:
    columns = [[value or "" for value in column.to_pylist()] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def read_file(path: Path, content: bytes, **options: Any) -> tuple[Layout, list[list[str]], list[RowReject]]:
    """Write `content`, inspect and read it."""
    path.write_bytes(content)
    layout = inspect(path, path.name, **options)
    return layout, *read_all(path, layout)


def faults(rejects: list[RowReject]) -> list[tuple[int, str]]:
    return [(reject.line, reject.code) for reject in rejects]
