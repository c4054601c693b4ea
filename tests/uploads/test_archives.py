"""Files packed by gzip or zstd: read forward in bounded memory, resumed by offset, refused where they are broken."""

from __future__ import annotations

import gzip
import io
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.uploads.reading import read_all
from tests.uploads.sending import Sender, rejects_of, rows_of
from uploads.archives import open_unpacked
from uploads.blocks import Cursor, blocks
from uploads.layout import inspect
from uploads.refusals import Refusal

RANDOM = random.Random(7)
TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (n, RANDOM.randrange(10**9)) for n in range(30_000))
PARTS = [TEXT[:5], TEXT[5:100_000], b"", TEXT[100_000:]]
SKIPPABLE = struct.pack("<II", 0x184D2A53, 4) + b"skip"
PACKED = {
    "one gzip member": gzip.compress(TEXT),
    "gzip members": b"".join(map(gzip.compress, PARTS)),
    "gzip with padding": gzip.compress(TEXT) + bytes(100_000),
    "gzip with padding between": gzip.compress(TEXT[:9]) + bytes(10) + gzip.compress(TEXT[9:]),
    "one zstd frame": zstandard.compress(TEXT),
    "zstd frames": b"".join(map(zstandard.compress, PARTS)),
    "skippable zstd frames": SKIPPABLE + zstandard.compress(TEXT) + SKIPPABLE,
}


def packed(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return open_unpacked(path, "gzip" if content[:2] == b"\x1f\x8b" else "zstd")


def read(path: Path, content: bytes, size: int = 2**20) -> bytes:
    with packed(path, content) as file:
        pieces = []
        while piece := file.read(size):
            pieces.append(piece)
        assert file.fraction == 1
        return b"".join(pieces)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "f"


@pytest.mark.parametrize("kind", PACKED)
def test_all_members_are_read_as_one_text(path: Path, kind: str) -> None:
    for size in (1_000, 2**20):
        assert read(path, PACKED[kind], size) == TEXT


@pytest.mark.parametrize("kind", PACKED)
def test_reading_goes_on_from_any_offset(path: Path, kind: str) -> None:
    for offset in (0, 1, 99_999, 100_000, len(TEXT) - 1, len(TEXT), len(TEXT) + 5):
        with packed(path, PACKED[kind]) as file:
            file.skip_to(offset)
            assert file.read(10) == TEXT[offset : offset + 10]


@pytest.mark.parametrize("kind", ["one gzip member", "one zstd frame", "gzip members"])
def test_an_end_that_is_missing_is_named_with_its_place(path: Path, kind: str) -> None:
    whole = PACKED[kind]
    for size in (len(whole) - 1, len(whole) // 2, 60):
        with pytest.raises(Refusal) as refusal:
            read(path, whole[:size])
        assert refusal.value.code == "archive_truncated"
        assert f"near byte {size:,}: the file ends here" in refusal.value.message


@pytest.mark.parametrize("kind", ["one gzip member", "one zstd frame"])
def test_a_byte_that_was_changed_is_noticed(path: Path, kind: str) -> None:
    whole = PACKED[kind]
    content = zstandard.ZstdCompressor(write_checksum=True).compress(TEXT) if "zstd" in kind else whole
    for place in (len(content) // 2, len(content) - 6):
        broken = bytearray(content)
        broken[place] ^= 0x55
        with pytest.raises(Refusal, match=r"cannot be read, near byte [\d,]+: ") as refusal:
            read(path, bytes(broken))
        assert refusal.value.code in ("archive_corrupt", "archive_truncated")


@pytest.mark.parametrize("kind", ["one gzip member", "one zstd frame"])
def test_what_follows_an_archive_and_is_none_is_refused(path: Path, kind: str) -> None:
    with pytest.raises(Refusal, match="something else follows the archive") as refusal:
        read(path, PACKED[kind] + b"more,text\n")
    assert refusal.value.code == "archive_corrupt"


def test_a_file_may_not_unpack_to_more_than_the_limit(path: Path, settings: Any) -> None:
    settings.UPLOADS = {**settings.UPLOADS, "MAX_UNPACKED_BYTES": 100_000}
    for kind in ("one gzip member", "one zstd frame"):
        with pytest.raises(Refusal, match="more than the 100,000 bytes") as refusal:
            read(path, PACKED[kind])
        assert refusal.value.code == "archive_too_large"


def test_a_bomb_is_stopped_long_before_its_end(path: Path) -> None:
    file = io.BytesIO()
    with zstandard.ZstdCompressor(level=19).stream_writer(file, closefd=False) as writer:
        for _ in range(400):
            writer.write(bytes(2**20))
    with pytest.raises(Refusal, match="over 1,000 times its size") as refusal:
        read(path, file.getvalue())
    assert refusal.value.code == "archive_too_large"


@pytest.mark.parametrize("kind", ["gzip members", "zstd frames"])
def test_rows_are_those_of_the_plain_file_from_any_block_on(path: Path, kind: str) -> None:
    content = TEXT.replace(b"\n77,", b"\n77,x,")
    path.with_suffix(".plain").write_bytes(content)
    plain = read_all(path.with_suffix(".plain"), inspect(path.with_suffix(".plain"), "f.csv"))
    compress = gzip.compress if "gzip" in kind else zstandard.compress
    path.write_bytes(compress(content[:1000]) + compress(content[1000:]))
    layout = inspect(path, "f.csv", compression=kind.split()[0])
    assert read_all(path, layout) == plain
    ends = [block.end for block in blocks(path, layout, Cursor.at_data(layout), block_bytes=60_000)]
    rows, rejects = read_all(path, layout, start=ends[3])
    assert len(ends) > 5
    assert rows == plain[0][-len(rows) :]
    assert rejects == []


@pytest.mark.django_db(transaction=True)
class TestAnImport:
    def test_names_lines_and_offsets_of_the_text_that_was_packed(self, sender: Sender) -> None:
        operation = sender.imported(gzip.compress(b"a,b\n1,2\n3\n"), "data.csv.gz")
        assert rejects_of(operation) == [(3, "ragged_short", "Line 3: expected 2 fields, found 1.")]
        assert operation.rejects.get().offset == 8
        assert operation.result["bytes"] > 0

    def test_fails_where_the_archive_breaks_off_and_says_so(self, sender: Sender) -> None:
        content = gzip.compress(TEXT)
        operation = sender.ended(content[:-30], "data.csv.gz")
        assert (operation.state, operation.error["code"]) == ("failed", "archive_truncated")
        assert operation.error["retryable"] is False
        assert operation.error["message"] == (
            f"The gzip archive cannot be read, near byte {len(content) - 30:,}: "
            "the file ends here, but the archive does not."
        )

    def test_is_refused_where_the_head_is_broken(self, sender: Sender) -> None:
        status, code, _ = sender.refused(gzip.compress(TEXT)[:50], "data.csv.gz")
        assert (status, code) == (422, "archive_truncated")
        broken = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(b"a,b\n1,2\n" * 100))
        broken[12] ^= 0xFF
        status, code, _ = sender.refused(bytes(broken), "data.csv.zst")
        assert (status, code) == (422, "archive_corrupt")

    def test_counts_progress_in_the_bytes_that_were_sent(self, sender: Sender) -> None:
        operation = sender.imported(gzip.compress(TEXT), "data.csv.gz")
        assert operation.progress["percent"] == 100
        assert len(rows_of(operation)) == 30_000
