"""Rejects come back as a file in the dialect of what was sent: repaired and sent again, its rows are good."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from lro.models import Operation
from tests.uploads.generator import write_dirty_csv
from tests.uploads.posting import body, client_of, imported, problem, rows_of
from uploads import repairs
from uploads.archives import open_unpacked
from uploads.models import Upload
from uploads.records import MAX_RECORD

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]
NOTES = ["_line", "_code", "_message"]


@pytest.fixture
def client(alice: Any) -> Client:
    return client_of(alice)


def download(client: Client, operation: Operation) -> bytes:
    answer = client.get(f"/uploads/imports/{operation.pk}/rejects.csv")
    assert answer.status_code == 200, answer.content
    return body(answer)


def cells(content: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))


def test_a_repaired_file_is_sent_again_and_its_rows_are_good(client: Client) -> None:
    sent = b'name,age,note\nAda,36,"a ""b"", c"\nBob,x,ok\nEve,41\nMax,7,"two\nlines",more\n'
    first = imported(client, sent, types='{"age": "integer"}')
    content = download(client, first)
    assert cells(content) == [
        [*NOTES, "name", "age", "note"],
        ["3", "type_error", "Line 3, column age: 'x' is not an integer.", "Bob", "x", "ok"],
        ["4", "ragged_short", "Line 4: expected 3 fields, found 2.", "Eve", "41"],
        ["5", "ragged_long", "Line 5: expected 3 fields, found 4.", "Max", "7", "two\nlines", "more"],
    ]
    repaired = content.replace(b",x,", b",12,").replace(b"Eve,41", b"Eve,41,").replace(b",more", b"")
    second = imported(client, repaired, types='{"age": "integer"}')
    assert second.result["rejected"] == 0
    assert rows_of(second) == {"name": ["Bob", "Eve", "Max"], "age": [12, 41, 7], "note": ["ok", None, "two\nlines"]}


def test_what_is_sent_again_unrepaired_is_rejected_again(client: Client) -> None:
    sent = b'a,b\n1\n1,2,3\nx\0y,2\n\xff,2\n"1,2\n5,6\n' + "é,é\n".encode() * 20
    first = imported(client, sent)
    assert first.result["rows"] == 21
    second = imported(client, download(client, first))
    assert (second.result["rows"], second.result["rejected"]) == (0, 5)
    assert second.result["reject_codes"] == {"ragged_short": 2, "ragged_long": 1, "not_repaired": 2}
    assert [column["name"] for column in second.result["columns"]] == ["a", "b"]
    third = cells(download(client, second))
    assert [row[3:] for row in third[1:]] == [["1"], ["1", "2", "3"], ["x\ufffdy", "2"], ["\ufffd", "2"], ['"1,2']]


def test_the_dialect_of_the_file_is_kept(client: Client) -> None:
    operation = imported(client, "größe;a\n1,5;\n2;3;4\n".encode("cp1252"), encoding="cp1252")
    content = download(client, operation)
    assert content.startswith("\ufeff_line;_code;_message;größe;a\r\n".encode())
    assert cells(content, ";")[1][3:] == ["2", "3", "4"]
    tabs = imported(client, b"a\tb\n1\n", name="data.tsv")
    assert cells(download(client, tabs), "\t")[0] == [*NOTES, "a", "b"]


def test_a_row_longer_than_what_is_kept_is_read_again_from_the_file(client: Client) -> None:
    for encoding in ("utf-8", "utf-16"):
        long = "ü" * 5000
        operation = imported(client, f'a,b\n"{long}\n{long}",2,3\n1\n'.encode(encoding))
        rows = cells(download(client, operation))
        assert rows[1][3:] == [f"{long}\n{long}", "2", "3"]
        assert rows[2][3:] == ["1"]


def test_a_row_whose_file_is_gone_is_given_as_far_as_it_was_kept(client: Client) -> None:
    operation = imported(client, b"a,b\n" + b"x" * 3000 + b"\n")
    Upload.objects.get(pk=operation.input["upload"]).path.unlink()
    assert cells(download(client, operation))[1][3:] == ["x" * 1024]


def test_every_reject_of_a_dirty_file_comes_back_as_it_was(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "dirty.csv"
    truth = write_dirty_csv(path, 8000, bad_share=0.3, seed=7)
    lines = path.read_bytes().split(b"\n")
    rows = cells(download(client, imported(client, path.read_bytes())))[1:]
    assert [(int(row[0]), row[1]) for row in rows] == truth.rejects
    for line, code, _, *values in rows:
        raw = lines[int(line) - 1].decode("utf-8", "replace").replace("\0", "\ufffd")
        assert values == ([raw] if code == "unterminated_quote" else raw.split(","))


def test_columns_of_that_name_elsewhere_are_columns(client: Client) -> None:
    operation = imported(client, b"a,_line,_code,_message\n1,2,3,4\n")
    assert list(rows_of(operation)) == ["a", "_line", "_code", "_message"]


def test_only_who_may_see_the_import_gets_them(client: Client, bob: Any) -> None:
    operation = imported(client, b"a,b\n1\n")
    assert client_of(bob).get(f"/uploads/imports/{operation.pk}/rejects.csv").status_code == 404


def test_rejects_of_a_file_without_delimiters_are_refused_with_the_other_way(client: Client) -> None:
    operation = imported(client, b"a,b\n1\n")
    operation.input["layout"]["format"] = "parquet"
    operation.save(update_fields=["input"])
    answer = client.get(f"/uploads/imports/{operation.pk}/rejects.csv")
    assert problem(answer)[:2] == (409, "not_delimited")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_long_rows_of_a_packed_file_are_read_again_in_one_pass(
    client: Client, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    long = ["ü" * 900 + str(number) for number in range(40)]
    rows = [
        *(f'"{text}\n{text}",2,3' for text in long),
        "x" * (3 * MAX_RECORD),
        '"' + "y" * 2000,
        "z" * 2000 + ",1,2",
        "1",
    ]
    text = "a,b\n" + "".join(f"{row}\n1,2\n" for row in rows)
    sent = (b"\xff\xfe" if encoding == "utf-16-le" else b"") + text.encode(encoding)
    opened: list[Path] = []

    def watched(path: Path, compression: str) -> Any:
        opened.append(path)
        return open_unpacked(path, compression)

    monkeypatch.setattr("uploads.repairs.open_unpacked", watched)
    plain = download(client, imported(client, sent))
    packed = download(client, imported(client, gzip.compress(sent, 1), name="data.csv.gz"))
    assert len(opened) == 2
    assert packed == plain
    whole = csv.field_size_limit(2 * MAX_RECORD)
    values = [row[3:] for row in cells(packed)[1:]]
    csv.field_size_limit(whole)
    assert values[:40] == [[f"{text}\n{text}", "2", "3"] for text in long]
    assert values[41:] == [['"' + "y" * 2000], ["z" * 2000, "1", "2"], ["1"]]


def test_a_row_behind_which_the_archive_is_broken_is_given_as_far_as_it_was_kept(client: Client) -> None:
    packed = zlib.compressobj(wbits=31)
    content = packed.compress(b"a,b\n" + b"x" * 3000 + b"\n1,2\n") + packed.flush(zlib.Z_FULL_FLUSH)
    operation = imported(client, content + packed.flush(), name="data.csv.gz")
    Upload.objects.get(pk=operation.input["upload"]).path.write_bytes(content)
    assert cells(download(client, operation))[1][3:] == ["x" * 1024]


def test_a_place_that_lies_far_behind_is_read_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairs, "_KEPT_BYTES", 8)
    content = bytes(range(200))
    (tmp_path / "f").write_bytes(gzip.compress(content))
    with repairs.Rereading(tmp_path / "f", "gzip") as file:
        for offset, size in [(10, 5), (12, 3), (12, 90), (90, 20), (3, 4), (150, 100), (199, 5), (200, 1)]:
            file.skip_to(offset)
            assert b"".join(iter(lambda: file.read(7), b""))[:size] == content[offset : offset + size]
