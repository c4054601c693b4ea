"""A file read in ranges by several is read as by one, wherever the borders were guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.uploads.generator import write_dirty_csv
from tests.uploads.reading import faults, layout_of, read_all, rows_of
from uploads.blocks import Cursor, blocks
from uploads.layout import Layout, inspect
from uploads.parsing import RowReject, parse
from uploads.ranges import Range, divide

RELAXED = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


def read_range(path: Path, layout: Layout, given: Range, size: int) -> tuple[list[Any], list[RowReject], Cursor]:
    rows: list[Any] = []
    rejects: list[RowReject] = []
    end = given.start
    for block in blocks(path, layout, given.start, block_bytes=size, stop=given.stop):
        parsed = parse(block, layout)
        rows += rows_of(parsed.table)
        rejects += parsed.rejects
        end = block.end
    return rows, rejects, end


def read_in_ranges(path: Path, layout: Layout, count: int, size: int = 2**20) -> tuple[Any, Any, int]:
    """Rows and rejects, and how many of the ranges had to be read again."""
    rows: list[Any] = []
    rejects: list[RowReject] = []
    end, again = Cursor.at_data(layout), 0
    for start, stop in divide(path, layout, count):
        again += start != end
        some, bad, end = read_range(path, layout, Range(end, stop), size)
        rows += some
        rejects += bad
    return rows, rejects, again


@RELAXED
@given(
    st.text(alphabet='ab,,""\n\n\r', max_size=200),
    st.integers(2, 6),
    st.sampled_from(["utf-8", "utf-16-le"]),
    st.sampled_from([1, 7, 2**20]),
)
def test_any_text_in_any_number_of_ranges(tmp_path: Path, text: str, count: int, encoding: str, size: int) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(text.encode(encoding))
    layout = layout_of(2, encoding=encoding)
    assert read_in_ranges(path, layout, count, size)[:2] == read_all(path, layout)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-be"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_are_counted_up_to_each_range(
    tmp_path: Path, ending: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploads.ranges._CHUNK", 6)
    path = tmp_path / "f.csv"
    path.write_bytes("".join(f"{n},x{ending}" for n in range(1000)).encode(encoding))
    layout = layout_of(2, encoding=encoding)
    found = divide(path, layout, 4)
    assert len(found) == 4
    for start, stop in found:
        rows, _, end = read_range(path, layout, Range(start, stop), 500)
        assert rows[0] == [str(start.line - 1), "x"]
        assert end.line == start.line + len(rows)
    assert end.offset == path.stat().st_size


def test_the_borders_of_a_dirty_file_are_guessed_right(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    truth = write_dirty_csv(path, 20_000, bad_share=0.1, seed=5)
    layout = inspect(path, path.name)
    rows, rejects, again = read_in_ranges(path, layout, 16)
    assert (len(rows), faults(rejects), again) == (truth.good_rows, truth.rejects, 0)


def test_a_guess_within_quotes_is_found_out(tmp_path: Path) -> None:
    """The text within the quotes looks like rows, and is none."""
    path = tmp_path / "f.csv"
    path.write_bytes(b'a,b\n"' + b"1,2\n" * 3000 + b'",3\n4,5\n')
    layout = layout_of(2)
    rows, rejects, again = read_in_ranges(path, layout, 2)
    assert again == 1
    assert (rows, rejects) == read_all(path, layout)


def test_a_file_without_lines_is_one_range(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"x" * 10_000)
    assert divide(path, layout_of(1), 8) == [Range(Cursor(0, 1), 10_000)]
    path.write_bytes(b"")
    assert divide(path, layout_of(1), 8) == []
