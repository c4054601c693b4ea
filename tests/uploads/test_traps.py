"""The known traps of delimited files, one test each."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.uploads.generator import write_dirty_csv
from tests.uploads.reading import faults, layout_of, read_all, read_file
from uploads.blocks import Cursor, blocks
from uploads.layout import inspect

pytestmark = pytest.mark.slow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "f.csv"


def test_a_quoted_newline_on_every_border(path: Path) -> None:
    path.write_bytes(b'1,"\n"\n' * 50)
    for size in range(1, 20):
        rows, rejects = read_all(path, layout_of(2), block_bytes=size)
        assert (rows, rejects) == ([["1", "\n"]] * 50, [])


def test_crlf_split_over_a_border(path: Path) -> None:
    path.write_bytes(b"1,2\r\n3\r\n5,6\r\n")
    for size in range(1, 15):
        rows, rejects = read_all(path, layout_of(2), block_bytes=size)
        assert (rows, faults(rejects)) == ([["1", "2"], ["5", "6"]], [(2, "ragged_short")])


def test_a_byte_order_mark_counts_at_the_start_only(path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    layout, rows, rejects = read_file(path, mark + b"a,b\n" + mark + b"1,2\n" + mark + b"3,4\n")
    assert (layout.columns, layout.data_offset) == (("a", "b"), 7)
    assert (rows, rejects) == ([["\ufeff1", "2"], ["\ufeff3", "4"]], [])
    assert read_all(path, layout, block_bytes=1)[0] == rows


def test_no_newline_at_the_end(path: Path) -> None:
    assert read_file(path, b"a,b\n1,2\n3,4")[1] == [["1", "2"], ["3", "4"]]
    assert read_file(path, b"a,b\n1,2\n3,")[1] == [["1", "2"], ["3", ""]]
    assert read_file(path, b'a,b\n1,"2"')[1] == [["1", "2"]]


def test_header_only(path: Path) -> None:
    for content in (b"a,b", b"a,b\n", b"a,b\r\n\r\n"):
        layout, rows, rejects = read_file(path, content)
        assert (layout.columns, rows, rejects) == (("a", "b"), [], [])
    path.write_bytes(b"a,b\n")
    assert list(blocks(path, layout_of(2), Cursor(4, 2))) == []


def test_an_unclosed_quote_is_one_reject_and_named_within_the_first_block(path: Path) -> None:
    layout, rows, rejects = read_file(path, b'a,b\n1,"x\n' + b"3,4\n" * 600_000)
    assert (len(rows), faults(rejects)) == (600_000, [(2, "unterminated_quote")])
    first = next(blocks(path, layout, Cursor.at_data(layout), block_bytes=100))
    assert first.end.offset < 2**20


def test_an_unclosed_quote_before_quoted_rows_is_one_reject(path: Path) -> None:
    content = b'a,b\n1,"x\n' + b'3,"y z"\n' * 100
    _, rows, rejects = read_file(path, content)
    assert (len(rows), faults(rejects)) == (100, [(2, "unterminated_quote")])


def test_a_stray_quote_far_below_does_not_swallow_the_rows_between(path: Path) -> None:
    content = b'a,b,c\n1,"x,2\n' + b"3,4,5\n" * 100 + b'6,y",7,8\n9,9,9\n'
    _, rows, rejects = read_file(path, content)
    assert len(rows) == 101
    assert faults(rejects) == [(2, "unterminated_quote"), (103, "ragged_long")]


def test_text_over_several_lines_with_a_wrong_width_is_one_reject(path: Path) -> None:
    _, rows, rejects = read_file(path, b'a,b,c\n1,"one\ntwo\nthree"\n4,5,6\n')
    assert (rows, faults(rejects)) == ([["4", "5", "6"]], [(2, "ragged_short")])


def test_quotes_inside_an_unquoted_value_are_characters(path: Path) -> None:
    _, rows, rejects = read_file(path, b'a,b\n5" pipe,x"y"z\n3,"4"\n')
    assert (rows, rejects) == ([['5" pipe', 'x"y"z'], ["3", "4"]], [])


def test_short_rows_are_never_padded_and_long_ones_never_cut(path: Path) -> None:
    _, rows, rejects = read_file(path, b"a,b,c\n1,2\n1,2,3,\n1,2,3\n")
    assert rows == [["1", "2", "3"]]
    assert faults(rejects) == [(2, "ragged_short"), (3, "ragged_long")]


def test_lines_are_physical_lines_not_records(path: Path) -> None:
    content = b'a,b\n\n1,"x\r\ny\rz"\n\r\nbad\n'
    assert faults(read_file(path, content)[2]) == [(7, "ragged_short")]


def test_lone_carriage_returns_end_lines(path: Path) -> None:
    layout, rows, rejects = read_file(path, b"a,b\r1,2\r3\r5,6")
    assert (layout.data_line, rows, faults(rejects)) == (2, [["1", "2"], ["5", "6"]], [(3, "ragged_short")])


def test_bytes_that_are_not_utf8_reject_their_rows_only(path: Path) -> None:
    content = b"a,b\n" + "é,ü\n".encode() * 40 + b"\xe9,1\n" + b"ok,\xc3\n" + b"3,4\n"
    layout, rows, rejects = read_file(path, content)
    assert layout.encoding == "utf-8"
    assert (len(rows), faults(rejects)) == (41, [(42, "invalid_encoding"), (43, "invalid_encoding")])


def test_two_thousand_columns_import(path: Path) -> None:
    names = ",".join(f"n{n}" for n in range(2000)).encode()
    layout, rows, rejects = read_file(path, names + b"\n" + (b",".join([b"1"] * 2000) + b"\n") * 20 + b"1,2\n")
    assert (len(layout.columns), len(rows), faults(rejects)) == (2000, 20, [(22, "ragged_short")])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_does_not_grow_with_the_file(path: Path) -> None:
    write_dirty_csv(path, 200_000, seed=4)
    script = (
        "import re, sys; from pathlib import Path;"
        "from tests.uploads.reading import *; path = Path(sys.argv[1]); layout = inspect(path, path.name)\n"
        "for block in blocks(path, layout, Cursor.at_data(layout)): parse(block, layout)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 230 * 1024


def test_inspecting_loads_no_heavy_library() -> None:
    script = "import sys, uploads.layout, uploads.blocks; print({'pyarrow', 'polars'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_layout_reads_a_head_only(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"a,b\n" + b"1,2\n" * 100_000)
        file.truncate(2**33)
    assert inspect(path, path.name).columns == ("a", "b")
