"""What a person is told where something is not taken: what is wrong, where, and what to do."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lro import Problem
from tests.uploads.sending import Sender
from tests.uploads.tus_client import CONTENT, TusClient, age, digest
from uploads import appending, tus
from uploads.reject_limits import RejectLimit

CSV = b"name,age\nAda,36\n"
PACKED = gzip.compress(CSV, mtime=0)
LINES = b'{"name": "Ada"}\n'
_LIMIT = "is neither a count such as 100 nor a share such as 0.05 or 5%."
_TYPES = "string, integer, number, boolean, date, datetime"


def parquet(table: pa.Table) -> bytes:
    pq.write_table(table, file := io.BytesIO())
    return file.getvalue()


FORM: list[tuple[dict[str, Any], int, str, str, str]] = [
    ({"types": '["a"]'}, 422, "invalid", "/types", "'types' must be an object that maps columns to types."),
    ({"types": '{"age": "int"}'}, 422, "unknown_type", "/types/age", f"'int' is no type; the types are {_TYPES}."),
    (
        {"types": '{"aeg": "integer"}'},
        422,
        "unknown_column",
        "/types/aeg",
        "The file has no column 'aeg'. Did you mean 'age'?",
    ),
    ({"types": '{"zzz": "integer"}'}, 422, "unknown_column", "/types/zzz", "The file has no column 'zzz'."),
    (
        {"types": '{"age": "integer"}', "schema": '{"fields": []}'},
        *(422, "invalid", "/types", "Send types or a schema, not both: a schema has the types."),
    ),
    ({"schema": "[1]"}, 422, "bad_schema", "/schema", "A Table Schema is an object with a list of 'fields'."),
    ({"max_rejects": "-1"}, 422, "invalid", "/max_rejects", f"'-1' {_LIMIT}"),
    ({"max_rejects": "200%"}, 422, "invalid", "/max_rejects", f"'200%' {_LIMIT}"),
    ({"max_rejects": "lots"}, 422, "invalid", "/max_rejects", f"'lots' {_LIMIT}"),
    (
        {"on_limit": "fail"},
        *(422, "invalid", "/on_limit", "on_limit says what happens at max_rejects, which is not given."),
    ),
    (
        {"max_rejects": "5%", "on_limit": "stop_recording"},
        *(422, "invalid", "/on_limit", "A share cannot stop the recording; give max_rejects as a count."),
    ),
    (
        {"encoding": "klingon"},
        422,
        "unknown_encoding",
        "/encoding",
        "There is no encoding named 'klingon'; try utf-8 or cp1252.",
    ),
    (
        {"encoding": "utf-16"},
        422,
        "wrong_encoding",
        "/encoding",
        "The file is not utf-16-le: its bytes do not come in pairs of that kind.",
    ),
    (
        {"delimiter": "::"},
        422,
        "bad_delimiter",
        "/delimiter",
        "The delimiter must be one ASCII character that is no letter, digit or quote.",
    ),
    ({"sheet": "Data"}, 422, "wrong_option", "/sheet", "'sheet' has no meaning for delimited text; leave it out."),
    ({"parallel": "65"}, 400, "invalid", "/parallel", "Ensure this value is less than or equal to 64."),
    ({"header": "perhaps"}, 400, "invalid", "/header", "Must be a valid boolean."),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("files")
class TestOfAnImport:
    @pytest.fixture
    def sender(self, alice: Any) -> Sender:
        return Sender(alice)

    @pytest.mark.parametrize(("fields", "status", "code", "pointer", "message"), FORM)
    def test_a_field_is_named_with_what_it_takes(
        self, sender: Sender, fields: dict[str, str], status: int, code: str, pointer: str, message: str
    ) -> None:
        answer = sender.post(CSV, "people.csv", **fields)
        body = answer.json()
        assert (answer.status_code, body["code"]) == (status, code)
        assert body["detail"] == (message if status == 422 else "The input is not valid.")
        assert (body["errors"][0]["pointer"], body["errors"][0]["message"]) == (pointer, message)

    def test_what_the_widget_of_a_page_adds_to_its_form_is_passed_over(self, sender: Sender) -> None:
        assert sender.post(CSV, "people.csv", name="people.csv", type="text/csv").status_code == 200

    @pytest.mark.parametrize(
        ("content", "name", "fields", "code", "message"),
        [
            (
                LINES,
                "a.jsonl",
                {"parallel": "2"},
                "not_divisible",
                "Only CSV and TSV files can be imported in parts, not packed.",
            ),
            (
                PACKED,
                "a.csv.gz",
                {"parallel": "2"},
                "not_divisible",
                "Only CSV and TSV files can be imported in parts, not packed.",
            ),
            (
                LINES.decode().encode("utf-16"),
                "a.jsonl",
                {},
                "unsupported_format",
                "The file is named .jsonl, but looks like binary data.",
            ),
            (
                b"{}\n{}\n",
                "a.jsonl",
                {},
                "header_invalid",
                "No object at the beginning of the file has a key; there are no columns.",
            ),
            (parquet(pa.table({})), "a.parquet", {}, "header_invalid", "The file has no columns."),
            (
                parquet(pa.table({"a": [1]}))[:-9],
                "a.parquet",
                {},
                "bad_parquet",
                "The Parquet file cannot be read: Parquet magic bytes not found in footer.",
            ),
            (
                PACKED[:12],
                "a.csv.gz",
                {},
                "archive_truncated",
                "The gzip archive cannot be read, near byte 12: the file ends here, but the archive does not.",
            ),
            (PACKED + b"more", "a.csv.gz", {}, "archive_corrupt", "The gzip archive cannot be read, near byte "),
            (
                b"a,b\n1,2\n",
                "a.tsv",
                {},
                "dialect_ambiguous",
                "The file is named as tab-separated, but a comma separates its values; name the delimiter.",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_file_is_told_what_it_looks_like(
        self, sender: Sender, content: bytes, name: str, fields: dict[str, str], code: str, message: str
    ) -> None:
        assert sender.refused(content, name, **fields)[1] == code
        assert sender.refused(content, name, **fields)[2].startswith(message)

    def test_neither_a_file_nor_an_upload_is_named(self, sender: Sender) -> None:
        errors = sender.client.post("/uploads/import").json()["errors"]
        assert errors[0]["message"] == "Send either a file or, as 'upload', the id of a finished one."

    def test_rejects_without_columns_are_found_elsewhere(self, sender: Sender) -> None:
        identifier = sender.submitted(LINES, "a.jsonl")
        answer = sender.client.get(f"/uploads/imports/{identifier}/rejects.csv").json()
        message = f"Only rejects of CSV and TSV files have columns; see /operations/{identifier}/rejects/?format=csv."
        assert (answer["status"], answer["code"], answer["detail"]) == (409, "not_delimited", message)

    def test_a_look_at_a_dataset_says_what_may_be_asked(self, sender: Sender) -> None:
        dataset = sender.imported(CSV, "people.csv").result["dataset"]
        told = {
            "rows?limit=501": "limit is a number from 1 to 500.",
            "rows?limit=few": "limit is a number from 1 to 500.",
            "download?format=xml": "format is one of csv, parquet.",
        }
        found = {path: sender.client.get(f"/uploads/datasets/{dataset}/{path}").json()["detail"] for path in told}
        assert found == told


HEADERS: list[tuple[Callable[[], Any], str]] = [
    (lambda: tus.check_version({}), "Tus-Resumable must be 1.0.0, the version of tus that is spoken here."),
    (
        lambda: tus.check_media_type({"Content-Type": "text/csv"}),
        "Content-Type must be application/offset+octet-stream, not 'text/csv'.",
    ),
    (lambda: tus.offset_of({}), "Upload-Offset is missing: it says where in the file the bytes begin."),
    (lambda: tus.offset_of({"Upload-Offset": "-1"}), "Upload-Offset must be a whole number of bytes, not '-1'."),
    (
        lambda: tus.length_of({}, 9),
        "Upload-Length is missing; where it is not known yet, send Upload-Defer-Length: 1.",
    ),
    (
        lambda: tus.length_of({"Upload-Length": "1", "Upload-Defer-Length": "1"}, 9),
        "Upload-Length cannot be both given and deferred.",
    ),
    (lambda: tus.length_of({"Upload-Defer-Length": "2"}, 9), "Upload-Defer-Length can only be 1, not '2'."),
    (lambda: tus.length_of({"Upload-Length": "10"}, 9), "The file has 10 bytes, at most 9 are allowed."),
    (
        lambda: tus.checksum_of({"Upload-Checksum": "crc32 AA=="}),
        "Upload-Checksum must begin with one of sha256, sha1, sha512, md5, not 'crc32'.",
    ),
    (
        lambda: tus.checksum_of({"Upload-Checksum": "md5 AA=="}),
        "Upload-Checksum must hold the 16 bytes of md5 in base64.",
    ),
    (
        lambda: tus.metadata_of({"Upload-Metadata": "filename ###"}),
        "Upload-Metadata has a value that is not base64: '###'.",
    ),
    (
        lambda: tus.metadata_of({"Upload-Metadata": "name YQ==,,"}),
        "Upload-Metadata must be pairs of an ASCII key and base64, with commas; not ''.",
    ),
    (lambda: tus.metadata_of({"Upload-Metadata": "a YQ==,a YQ=="}), "Upload-Metadata has the key 'a' twice."),
    (lambda: tus.metadata_of({"Upload-Metadata": "a /w=="}), "Upload-Metadata has a value of 'a' that is not UTF-8."),
    (
        lambda: tus.metadata_of({"Upload-Metadata": "a AA=="}),
        "Upload-Metadata has a value of 'a' with U+0000, which cannot be stored.",
    ),
    (
        lambda: tus.metadata_of({"Upload-Metadata": "a " + "A" * 8191}),
        "Upload-Metadata may have 8,192 characters, not 8,193.",
    ),
    (
        lambda: tus.metadata_of({"Upload-Metadata": "sha256 eno="}),
        "Upload-Metadata has a sha256 that is not 64 hexadecimal digits: 'zz'.",
    ),
]


@pytest.mark.parametrize(("ask", "message"), HEADERS)
def test_a_header_of_tus_is_named_with_what_it_must_say(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(Problem) as refused:
        ask()
    assert refused.value.message == message


@pytest.mark.django_db
@pytest.mark.usefixtures("files")
class TestOfAResumableUpload:
    @pytest.fixture
    def client(self, alice: Any) -> TusClient:
        return TusClient(alice)

    def test_the_right_offset_is_told(self, client: TusClient) -> None:
        answer = client.patch(client.created(8), 3, b"x")
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "0")
        assert answer.json()["detail"] == "The upload has 0 bytes, so the next ones cannot begin at 3."

    def test_bytes_that_are_too_many_or_others_are_counted(self, client: TusClient) -> None:
        address = client.created(8)
        many = client.patch(address, 0, b"x" * 20).json()
        assert (many["code"], many["detail"]) == ("upload_too_large", "The request goes to byte 20 of a file of 8.")
        others = client.patch(address, 0, b"abcd", Upload_Checksum=digest("sha1", b"dcba")).json()
        assert others["code"] == "checksum_mismatch"
        assert others["detail"] == "The bytes that came do not have the sha1 of Upload-Checksum: send them again."

    def test_a_length_that_changes_is_refused(self, client: TusClient) -> None:
        address = client.created(8)
        answer = client.patch(address, 0, b"abcd", Upload_Length=9)
        assert answer.json()["detail"] == "Upload-Length cannot be 9: the file has 8 bytes."

    def test_what_is_missing_is_said_to_who_imports_too_early(self, client: TusClient) -> None:
        address = client.created(8)
        client.patch(address, 0, b"abcd")
        body = {"upload": address.rpartition("/")[2]}
        answer = client.post("/uploads/import", body, content_type="application/json").json()
        assert (answer["status"], answer["code"]) == (409, "upload_unfinished")
        assert answer["detail"] == "The upload has 4 of 8 bytes: send the rest first."

    def test_an_upload_that_is_over_says_to_begin_anew(self, client: TusClient) -> None:
        address = client.created(8)
        age(address)
        answer = client.patch(address, 0, b"abcd").json()
        assert (answer["status"], answer["code"]) == (410, "upload_expired")
        assert answer["detail"].endswith("was not finished in time: begin a new one.")

    def test_a_wrong_file_is_named_by_both_of_its_sums(self, client: TusClient) -> None:
        address = client.created(len(CONTENT), sha256="0" * 64)
        answer = client.patch(address, 0, CONTENT).json()
        assert (answer["status"], answer["code"]) == (422, "sha256_mismatch")
        assert f"not {'0' * 64}: it was changed or damaged; send it again." in answer["detail"]

    def test_who_finds_another_at_work_is_told_to_ask_again(self) -> None:
        problem = appending.locked()
        assert (problem.status, problem.code) == (423, "upload_locked")
        assert problem.message == "Another request is sending bytes of this file; ask for its offset again."


def test_a_limit_of_rejects_says_how_it_is_written() -> None:
    with pytest.raises(ValueError, match=r"'few' is neither a count such as 100 nor a share such as 0.05 or 5%"):
        RejectLimit.read("few", "fail")


def test_a_schema_says_what_is_contradictory() -> None:
    from uploads import table_schema
    from uploads.refusals import Refusal

    field = {"name": "a", "type": "integer", "constraints": {"minimum": 5, "maximum": 1}}
    with pytest.raises(Refusal) as refused:
        table_schema.read({"fields": [field]}, ["a"])
    assert json.dumps(refused.value.details) == json.dumps(
        [
            {
                "pointer": "/schema/fields/0/constraints/maximum",
                "message": "No value fits: minimum is 5, and maximum 1.",
            }
        ]
    )
