"""Blocks are a matter of memory only: rows and rejects never depend on where they are cut."""

import csv
import io
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.uploads.generator import header, write_dirty_csv
from tests.uploads.reading import faults, layout_of, read_all
from uploads.blocks import Cursor, blocks
from uploads.layout import inspect
from uploads.records import MAX_RECORD

pytestmark = pytest.mark.slow

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
SIZES = (1, 2, 3, 7, 64, 2**22)
TEXT = st.text(alphabet=st.sampled_from('ab1 ,;"\n\ré\ufeff語😀'), max_size=12)


@st.composite
def well_formed(draw: st.DrawFn) -> tuple[str, int]:
    """A CSV text as a correct writer makes it, and its number of columns."""
    columns = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(TEXT, min_size=columns, max_size=columns), max_size=8))
    ending = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quotes_all = draw(st.booleans())

    def cell(value: str) -> str:
        # csv.writer leaves a lone CR unquoted when it is not the line's ending.
        needed = quotes_all or not value or any(mark in value for mark in ',"\n\r')
        return '"' + value.replace('"', '""') + '"' if needed else value

    return ending.join(",".join(map(cell, row)) for row in rows) + draw(st.sampled_from(["", ending])), columns


@RELAXED
@given(well_formed(), st.sampled_from(SIZES), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
def test_well_formed_text_equals_csv_reader(tmp_path: Path, made: tuple[str, int], size: int, encoding: str) -> None:
    text, columns = made
    path = tmp_path / "f.csv"
    path.write_bytes(text.encode(encoding))
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    rows, rejects = read_all(path, layout_of(columns, encoding=encoding), block_bytes=size)
    assert (rows, rejects) == (expected, [])


@RELAXED
@given(st.binary(max_size=80), st.text(alphabet='a,"\n\r\0', max_size=60), st.integers(1, 3))
def test_any_bytes_read_alike_in_blocks_of_any_size(tmp_path: Path, noise: bytes, text: str, columns: int) -> None:
    path = tmp_path / "f.csv"
    for content in (text.encode(), noise, text.encode() + noise):
        path.write_bytes(content)
        for encoding in ("utf-8", "cp1252", "utf-16-le"):
            layout = layout_of(columns, encoding=encoding)
            whole = read_all(path, layout)
            assert all(read_all(path, layout, block_bytes=size) == whole for size in (1, 5, 16))


def test_resuming_at_any_border_gives_the_same_rest(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    write_dirty_csv(path, 150, bad_share=0.2, seed=3)
    layout = inspect(path, path.name)
    rows, rejects = read_all(path, layout)
    for block in blocks(path, layout, Cursor.at_data(layout), block_bytes=300):
        later = [reject for reject in rejects if reject.line >= block.end.line]
        more, rest = read_all(path, layout, start=block.end, block_bytes=1000)
        assert rest == later
        assert more == rows[len(rows) - len(more) :]
        known = block.records(layout)
        found = type(block)(block.start, block.end, block.data).records(layout)
        assert known.stops.tolist() == found.stops.tolist()
        assert known.fields.tolist() == found.fields.tolist()


@pytest.mark.parametrize("size", [1, 100, 4096, 2**22])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_generators_truth_is_found(tmp_path: Path, size: int, seed: int) -> None:
    path = tmp_path / "f.csv"
    truth = write_dirty_csv(path, 300 if size < 1000 else 5000, bad_share=0.1, seed=seed)
    layout = inspect(path, path.name)
    rows, rejects = read_all(path, layout, block_bytes=size)
    assert layout.columns == tuple(header(12))
    assert (len(rows), faults(rejects)) == (truth.good_rows, truth.rejects)


def test_blocks_cover_the_file_without_gaps(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    write_dirty_csv(path, 2000, seed=5)
    layout = inspect(path, path.name)
    cut = list(blocks(path, layout, Cursor.at_data(layout), block_bytes=10_000))
    assert all(before.end == after.start for before, after in pairwise(cut))
    assert b"".join(block.data for block in cut) == path.read_bytes()[layout.data_offset :]
    assert max(len(block.data) for block in cut) <= 10_000
    assert cut[-1].end.line == path.read_bytes().count(b"\n") + 1


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("length", [MAX_RECORD, MAX_RECORD + 1, 3 * MAX_RECORD])
def test_an_endless_line_is_one_reject(tmp_path: Path, ending: bytes, encoding: str, length: int) -> None:
    path = tmp_path / "f.csv"
    text = b"1,2" + ending + b"x" * (length - 2 - len(ending)) + b",y" + ending + b"3,4"
    path.write_bytes(text.decode().encode(encoding))
    layout = layout_of(2, encoding=encoding)
    expected = [] if length <= MAX_RECORD else [(2, "field_too_long")]
    seen = []
    for size in (1000, 2**20, 2**24):
        rows, rejects = read_all(path, layout, block_bytes=size)
        assert faults(rejects) == expected
        assert (rows[0], rows[-1]) == (["1", "2"], ["3", "4"])
        assert all(len(reject.raw) <= 1024 for reject in rejects)
        seen.append(rejects)
    assert seen[0] == seen[1] == seen[2]


def test_memory_of_the_cutter_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b'1,"' + b"x" * (5 * MAX_RECORD) + b"\n" + b"1,2\n" * 10)
    cut = list(blocks(path, layout_of(2), Cursor(0, 1), block_bytes=1000))
    assert max(len(block.data) for block in cut) <= MAX_RECORD
    assert cut[-1].end == Cursor(path.stat().st_size, 12)
