"""Parts read as one polars frame say what they say as Arrow tables, however each of them is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from uploads.frames import read_parts
from uploads.parts import read_part, write_part

TYPES = {"s": "string", "i": "integer", "n": "number", "b": "boolean", "d": "date", "t": "datetime"}
TYPED = pa.table(
    {
        "s": ["é", None, ""],
        "i": [2**62, None, -1],
        "n": [0.1, None, -1e300],
        "b": [True, None, False],
        "d": [date(1, 1, 1), None, date(9999, 12, 31)],
        "t": [datetime(1999, 1, 1, 12, 0, 0, 1), None, datetime(2000, 2, 29)],
    }
)
AS_TEXT = pa.table(
    {
        "s": ["x", None],
        "i": ["-9223372036854775808", None],
        "n": ["1e-5", None],
        "b": ["True", None],
        "d": ["2024-02-29", None],
        "t": ["2024-02-29 10:11:12.5", None],
    }
)
ZONED = AS_TEXT.set_column(5, "t", pa.array(["2024-02-29T10:11:12+02:00", "2024-02-29T10:11Z"]))
NARROW = pa.table({"i": pa.array([1, None], pa.int16()), "n": pa.array([1, 2], pa.int32()), "s": ["x", "y"]})
EMPTY = TYPED.slice(0, 0)
ALIKE = [[TYPED, TYPED], [AS_TEXT, AS_TEXT], [ZONED], [NARROW], [EMPTY], [EMPTY, TYPED, EMPTY]]
FEWER = TYPED.select(["t", "i"])
MIXED = [[TYPED, AS_TEXT], [AS_TEXT, TYPED], [NARROW, TYPED], [TYPED, NARROW], [TYPED, FEWER, ZONED]]


def stored(folder: Path, tables: Sequence[Any]) -> list[Path]:
    paths = [folder / f"[{index}]*.parquet" for index in range(len(tables))]
    for table, path in zip(tables, paths, strict=True):
        write_part(table, path)
    return paths


@pytest.mark.parametrize("tables", [*ALIKE, *MIXED])
@pytest.mark.parametrize("columns", [None, ["n"], ["t", "i"]])
def test_a_frame_holds_what_the_tables_hold(tmp_path: Path, tables: list[Any], columns: list[str] | None) -> None:
    paths = stored(tmp_path, tables)
    expected = pl.from_arrow(pa.concat_tables([read_part(path, TYPES, columns) for path in paths]))
    assert isinstance(expected, pl.DataFrame)
    assert_frame_equal(read_parts(paths, TYPES, columns), expected)


def test_a_part_that_is_gone_is_an_error(tmp_path: Path) -> None:
    paths = [*stored(tmp_path, [TYPED]), tmp_path / "gone.parquet"]
    with pytest.raises(FileNotFoundError):
        read_parts(paths, TYPES)
