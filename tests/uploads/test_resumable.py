"""A file that comes in pieces, by the protocol of tus: what it gains, and what each violation is answered with."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.http import parse_http_date

from lro.models import Operation
from lro.runtime import executor, reconciler
from tests.uploads.tus_client import MEDIA_TYPE, TusClient, encode
from uploads import resumable
from uploads.models import Dataset, ResumableUpload, Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

CONTENT = b"name,age\nAda,36\nGrace,85\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def client(alice: Any) -> TusClient:
    return TusClient(alice)


def row(address: str) -> ResumableUpload:
    return ResumableUpload.objects.get(pk=address.rsplit("/", 1)[1])


def kept(files: Path) -> list[str]:
    return sorted(str(path.relative_to(files).parent) for path in files.rglob("*") if path.is_file())


def digest(algorithm: str, content: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


# What it is for


def test_a_file_that_came_in_pieces_is_imported_as_if_it_had_come_at_once(client: TusClient) -> None:
    address = client.created(len(CONTENT), filename="people.csv")
    assert [client.patch(address, at, CONTENT[at : at + 10]).status_code for at in (0, 10, 20)] == [204] * 3
    started = client.post("/uploads/import", {"upload": row(address).pk, "name": "people"}, "application/json")
    assert started.status_code == 200, started.content
    executor.execute(started.json()["id"])
    result = Operation.objects.get().result
    assert (result["name"], result["rows"], result["sha256"]) == ("people", 2, SHA256)
    assert Upload.objects.get().filename == "people.csv"


def test_the_last_byte_starts_the_import_that_the_metadata_asks_for(client: TusClient) -> None:
    metadata = {"filename": "people.csv", "import": "true", "name": "people", "delimiter": ",", "sha256": SHA256}
    address = client.created(len(CONTENT), **metadata, types='{"age": "integer"}')
    assert "Operation-Id" not in client.patch(address, 0, CONTENT[:10]).headers
    answer = client.patch(address, 10, CONTENT[10:])
    operation = Operation.objects.get()
    assert (answer.status_code, answer.headers["Operation-Id"]) == (204, str(operation.pk))
    assert answer.headers["Operation-Location"] == f"/operations/{operation.pk}"
    assert (operation.input["name"], operation.input["types"]) == ("people", {"age": "integer"})
    executor.execute(operation.pk)
    assert Dataset.objects.get().rows == 2


def test_who_did_not_hear_the_last_answer_finds_the_import_by_asking(client: TusClient) -> None:
    address = client.created(len(CONTENT), filename="people.csv", **{"import": "true"})
    client.patch(address, 0, CONTENT)
    answers = [client.head(address) for _ in range(2)]
    assert [answer.headers["Operation-Id"] for answer in answers] == [str(Operation.objects.get().pk)] * 2


def test_what_a_kill_at_the_last_byte_left_undone_is_done_when_the_client_asks(client: TusClient) -> None:
    address = client.created(len(CONTENT), filename="people.csv", **{"import": "true"})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(resumable, "seal", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        with pytest.raises(RuntimeError):
            client.patch(address, 0, CONTENT)
    assert (row(address).offset, row(address).sha256) == (len(CONTENT), "")
    assert client.head(address).headers["Operation-Id"] == str(Operation.objects.get().pk)
    assert row(address).sha256 == SHA256


def test_an_upload_begins_with_the_first_bytes_in_the_same_request(client: TusClient) -> None:
    answer = client.create(len(CONTENT), CONTENT[:10], Upload_Checksum=digest("sha1", CONTENT[:10]))
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "10")
    assert client.patch(answer.headers["Location"], 10, CONTENT[10:]).headers["Upload-Offset"] == str(len(CONTENT))
    assert row(answer.headers["Location"]).sha256 == SHA256


def test_an_empty_file_is_whole_from_the_start_and_refused_by_the_import(client: TusClient) -> None:
    address = client.created(0, filename="empty.csv")
    answer = client.post("/uploads/import", {"upload": row(address).pk}, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "empty_file")


def test_the_length_may_be_told_later(client: TusClient) -> None:
    address = client.created(None)
    answer = client.head(address)
    assert (answer.headers["Upload-Defer-Length"], "Upload-Length" in answer.headers) == ("1", False)
    client.patch(address, 0, CONTENT[:10])
    client.patch(address, 10, CONTENT[10:20], Upload_Length=len(CONTENT))
    assert client.head(address).headers["Upload-Length"] == str(len(CONTENT))
    assert client.patch(address, 20, CONTENT[20:]).status_code == 204
    assert row(address).sha256 == SHA256


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5"])
def test_bytes_with_a_wrong_checksum_do_not_count_and_may_be_sent_again(client: TusClient, algorithm: str) -> None:
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:10])
    wrong = client.patch(address, 10, b"x" * 15, Upload_Checksum=digest(algorithm, CONTENT[10:]))
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["Upload-Offset"]) == (460, "checksum_mismatch", "10")
    assert client.offset(address) == 10
    right = client.patch(address, 10, CONTENT[10:], Upload_Checksum=digest(algorithm, CONTENT[10:]))
    assert right.status_code == 204
    assert row(address).sha256 == SHA256


def test_the_digest_is_that_of_the_file_though_this_process_did_not_see_its_beginning(client: TusClient) -> None:
    from uploads import appending

    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:10])
    appending._digests._running.clear()  # as after a restart
    client.patch(address, 10, CONTENT[10:])
    assert row(address).sha256 == SHA256


def test_what_stands_in_the_file_beyond_the_offset_does_not_count(client: TusClient) -> None:
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:10])
    with row(address).path.open("ab") as file:
        file.write(b"written, and killed before it was counted")
    client.patch(address, 10, CONTENT[10:])
    assert row(address).path.read_bytes() == CONTENT


def test_a_finished_upload_may_be_imported_again_with_other_options(client: TusClient, files: Path) -> None:
    address = client.created(len(CONTENT), filename="people.csv")
    client.patch(address, 0, CONTENT)
    for name in ("one", "two"):
        client.post("/uploads/import", {"upload": row(address).pk, "name": name}, "application/json")
    for operation in Operation.objects.all():
        executor.execute(operation.pk)
    assert {dataset.name for dataset in Dataset.objects.all()} == {"one", "two"}
    assert len({path.stat().st_ino for path in files.rglob("uploads/*")}) == 1, "the bytes are there once"


def test_a_deleted_upload_takes_nothing_from_the_import_that_was_made_of_it(client: TusClient, files: Path) -> None:
    address = client.created(len(CONTENT), filename="people.csv", **{"import": "true"})
    client.patch(address, 0, CONTENT)
    assert client.send("DELETE", address).status_code == 204
    assert kept(files) == ["uploads"]
    executor.execute(Operation.objects.get().pk)
    assert Dataset.objects.get().rows == 2


# What the protocol says of each answer


def test_the_abilities_are_told_to_everybody(settings: Any) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    answer = TusClient().send("OPTIONS", "/uploads/files/", Tus_Resumable=None)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == "1000"
    extensions = "creation,creation-with-upload,creation-defer-length,termination,checksum,expiration"
    assert answer.headers["Tus-Extension"] == extensions
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256,sha1,sha512,md5"


def test_a_new_upload_has_an_address_and_an_end_of_its_time(client: TusClient) -> None:
    answer = client.create(100)
    assert (answer.status_code, answer.content, answer.headers["Upload-Offset"]) == (201, b"", "0")
    assert answer.headers["Location"].startswith("/uploads/files/")
    left = parse_http_date(answer.headers["Upload-Expires"]) - timezone.now().timestamp()
    assert 24 * 3600 - 60 < left <= 24 * 3600


def test_asking_tells_offset_length_and_metadata_and_is_never_cached(client: TusClient) -> None:
    metadata = {"filename": "Größe.csv", "flag": ""}
    address = client.created(len(CONTENT), **metadata)
    client.patch(address, 0, CONTENT[:10])
    answer = client.head(address)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("10", str(len(CONTENT)))
    assert answer.headers["Upload-Metadata"] == encode(metadata).strip()
    assert "Upload-Expires" in answer.headers


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "DELETE", "patch"])
def test_a_method_that_a_proxy_does_not_let_through_is_named_in_a_header(client: TusClient, method: str) -> None:
    address = client.created(100)
    headers = {"X_HTTP_Method_Override": method, "Upload_Offset": 0}
    answer = client.send("POST", address, b"12345", **headers)
    assert answer.status_code == (200 if method == "HEAD" else 204)
    assert ResumableUpload.objects.exists() is (method != "DELETE")
    if method.upper() == "PATCH":
        assert answer.headers["Upload-Offset"] == "5"


def test_a_repeated_end_is_harmless(client: TusClient) -> None:
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT)
    assert client.patch(address, len(CONTENT), b"").status_code == 204


CREATION: list[tuple[str, dict[str, Any], int, str]] = [
    ("no version", {"Tus_Resumable": None}, 412, "tus_version"),
    ("another version", {"Tus_Resumable": "0.2.2"}, 412, "tus_version"),
    ("no length", {"Upload_Length": None}, 400, "invalid_header"),
    ("an empty length", {"Upload_Length": ""}, 400, "invalid_header"),
    ("a negative length", {"Upload_Length": -1}, 400, "invalid_header"),
    ("a length that is no number", {"Upload_Length": "ten"}, 400, "invalid_header"),
    ("a length with a fraction", {"Upload_Length": "1.5"}, 400, "invalid_header"),
    ("a length in other digits", {"Upload_Length": "1e3"}, 400, "invalid_header"),
    ("a length beyond all numbers", {"Upload_Length": "9" * 30}, 400, "invalid_header"),
    ("a length over the limit", {"Upload_Length": 1001}, 413, "upload_too_large"),
    ("a length both given and deferred", {"Upload_Defer_Length": 1}, 400, "invalid_header"),
    ("a deferral that is not 1", {"Upload_Length": None, "Upload_Defer_Length": 0}, 400, "invalid_header"),
    ("metadata that is not base64", {"Upload_Metadata": "filename ä"}, 400, "invalid_header"),
    ("metadata with bad padding", {"Upload_Metadata": "filename YWI"}, 400, "invalid_header"),
    ("metadata that is not UTF-8", {"Upload_Metadata": "filename /w=="}, 400, "invalid_header"),
    ("metadata with U+0000", {"Upload_Metadata": "filename AA=="}, 400, "invalid_header"),
    ("metadata without a key", {"Upload_Metadata": ",filename YQ=="}, 400, "invalid_header"),
    ("metadata with a key twice", {"Upload_Metadata": "a YQ==,a YQ=="}, 400, "invalid_header"),
    ("metadata of great length", {"Upload_Metadata": "a " + "YWFh" * 3000}, 400, "invalid_header"),
    ("a checksum of an unknown kind", {"Upload_Checksum": "crc99 YQ=="}, 400, "invalid_header"),
    ("bytes of another media type", {"body": b"12", "Content_Type": "text/csv"}, 415, "unsupported_media_type"),
    ("more bytes than the file has", {"body": b"1" * 101}, 413, "upload_too_large"),
    (
        "bytes that are not those of the checksum",
        {"body": b"12", "Upload_Checksum": digest("md5", b"1")},
        460,
        "checksum_mismatch",
    ),
]


@pytest.mark.parametrize(("headers", "status", "code"), [each[1:] for each in CREATION], ids=[e[0] for e in CREATION])
def test_a_creation_is_refused_for(
    client: TusClient, settings: Any, files: Path, headers: dict[str, Any], status: int, code: str
) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    answer = client.create(**{"length": 100, **headers})
    assert_refused(answer, status, code)
    if status != 413:
        assert (ResumableUpload.objects.count(), kept(files)) == (0, [])


def assert_refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert ("Tus-Version" in answer.headers) is (status == 412)


APPENDING: list[tuple[str, dict[str, Any], int, str]] = [
    ("no version", {"Tus_Resumable": None}, 412, "tus_version"),
    ("another version", {"Tus_Resumable": "2"}, 412, "tus_version"),
    ("no media type", {"Content_Type": ""}, 415, "unsupported_media_type"),
    ("another media type", {"Content_Type": "application/octet-stream"}, 415, "unsupported_media_type"),
    ("no offset", {"offset": None}, 400, "invalid_header"),
    ("an empty offset", {"offset": ""}, 400, "invalid_header"),
    ("a negative offset", {"offset": -1}, 400, "invalid_header"),
    ("an offset that is no number", {"offset": "x"}, 400, "invalid_header"),
    ("an earlier offset", {"offset": 0}, 409, "offset_mismatch"),
    ("a later offset", {"offset": 11}, 409, "offset_mismatch"),
    ("more bytes than are left", {"body": CONTENT[10:] + b"!"}, 413, "upload_too_large"),
    ("another length than before", {"Upload_Length": 99}, 400, "invalid_header"),
    ("a length over the limit", {"Upload_Length": 1001}, 413, "upload_too_large"),
    ("a checksum of an unknown kind", {"Upload_Checksum": "crc99 YQ=="}, 400, "invalid_header"),
    ("a checksum in hex", {"Upload_Checksum": "sha1 " + "0f" * 20}, 400, "invalid_header"),
    ("a checksum that is not base64", {"Upload_Checksum": "sha1 ??"}, 400, "invalid_header"),
    ("a checksum without a value", {"Upload_Checksum": "sha1"}, 400, "invalid_header"),
    ("a checksum of other bytes", {"Upload_Checksum": digest("sha1", b"")}, 460, "checksum_mismatch"),
]


@pytest.mark.parametrize(("changes", "status", "code"), [each[1:] for each in APPENDING], ids=[e[0] for e in APPENDING])
def test_bytes_are_refused_for(
    client: TusClient, settings: Any, changes: dict[str, Any], status: int, code: str
) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:10])
    assert_refused(client.patch(address, **{"offset": 10, "body": CONTENT[10:], **changes}), status, code)
    assert (client.offset(address), row(address).path.read_bytes()[:10]) == (10, CONTENT[:10])
    client.patch(address, 10, CONTENT[10:])
    assert row(address).path.read_bytes() == CONTENT


@pytest.mark.parametrize("offset", [0, 10])
def test_bytes_after_the_end_are_refused(client: TusClient, offset: int) -> None:
    address = client.created(10)
    client.patch(address, 0, b"0123456789")
    status, code = (409, "offset_mismatch") if offset == 0 else (413, "upload_too_large")
    assert_refused(client.patch(address, offset, b"0123456789"), status, code)
    assert row(address).path.read_bytes() == b"0123456789"


def test_a_deferred_length_is_limited_too(client: TusClient, settings: Any) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    address = client.created(None)
    assert_refused(client.patch(address, 0, b"1" * 1001), 413, "upload_too_large")
    client.patch(address, 0, b"1" * 500)
    assert_refused(client.patch(address, 500, b"1", Upload_Length=499), 400, "invalid_header")


VERBS = [("HEAD", {}), ("PATCH", {"Upload_Offset": 0, "Content_Type": MEDIA_TYPE}), ("DELETE", {})]


@pytest.mark.parametrize(("method", "headers"), VERBS)
def test_what_is_another_persons_does_not_exist(client: TusClient, bob: Any, method: str, headers: Any) -> None:
    address = client.created(100)
    assert TusClient(bob).send(method, address, **headers).status_code == 404
    assert client.offset(address) == 0


@pytest.mark.parametrize(("method", "headers"), [*VERBS, ("POST", {"Upload_Length": 5})])
def test_who_is_not_logged_in_is_refused(client: TusClient, method: str, headers: Any) -> None:
    address = client.created(100) if method != "POST" else "/uploads/files/"
    answer = TusClient().send(method, address, **headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


@pytest.mark.parametrize(("method", "headers"), VERBS)
def test_what_was_given_up_is_gone_with_its_bytes(client: TusClient, files: Path, method: str, headers: Any) -> None:
    address = client.created(100)
    client.patch(address, 0, b"12345")
    answer = client.send("DELETE", address)
    assert (answer.status_code, answer.content, kept(files)) == (204, b"", [])
    assert client.send(method, address, **headers).status_code == 404


@pytest.mark.parametrize(("method", "headers"), VERBS)
def test_what_has_expired_is_said_to_have(client: TusClient, method: str, headers: Any) -> None:
    address = client.created(100)
    age(address)
    answer = client.send(method, address, **headers)
    assert answer.status_code == 410
    if method != "HEAD":
        assert answer.json()["code"] == "upload_expired"


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_other_methods_are_refused(client: TusClient, method: str) -> None:
    assert client.send(method, client.created(100)).status_code == 405


def test_an_address_that_is_no_id_is_not_found(client: TusClient) -> None:
    assert client.head("/uploads/files/0").status_code == 404


def test_a_session_needs_the_csrf_token(alice: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    answer = browser.post("/uploads/files/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"})
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_nobody_has_more_unfinished_uploads_than_a_hundred(client: TusClient, alice: Any) -> None:
    one = ResumableUpload(owner=alice, length=5, expires_at=resumable.expiry())
    ResumableUpload.objects.bulk_create([ResumableUpload(owner=alice, expires_at=one.expires_at) for _ in range(100)])
    assert_refused(client.create(5), 429, "quota")


def test_a_full_disk_is_told_and_what_fitted_stays(client: TusClient, monkeypatch: pytest.MonkeyPatch) -> None:
    address = client.created(100)
    client.patch(address, 0, b"12345")
    with monkeypatch.context() as patched:
        patched.setattr("os.pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert_refused(client.patch(address, 5, b"6789"), 507, "storage_full")
    assert client.patch(address, 5, b"6789").headers["Upload-Offset"] == "9"


# What an import refuses


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "photo.csv", 415, "unsupported_format"),
        (b"\n\n\n", "blank.csv", 422, "empty_file"),
    ],
)
def test_a_file_that_is_no_table_is_refused_at_its_last_byte_and_stays(
    client: TusClient, content: bytes, name: str, status: int, code: str
) -> None:
    address = client.created(len(content), filename=name, **{"import": "true"})
    assert_refused(client.patch(address, 0, content), status, code)
    assert client.offset(address) == len(content), "a client that asks then is not told to begin anew"
    assert not Operation.objects.exists()


def test_a_file_that_is_not_the_one_that_was_announced_is_refused_and_deleted(client: TusClient, files: Path) -> None:
    address = client.created(len(CONTENT), sha256=SHA256)
    assert_refused(client.patch(address, 0, CONTENT[::-1]), 422, "sha256_mismatch")
    assert client.head(address).status_code == 404
    assert kept(files) == []


def test_an_import_is_refused_where_the_file_has_another_digest(client: TusClient) -> None:
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT)
    body = {"upload": str(row(address).pk), "sha256": "0" * 64}
    answer = client.post("/uploads/import", body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "sha256_mismatch")
    assert answer.json()["errors"][0]["pointer"] == "/sha256"
    body["sha256"] = SHA256.upper()
    assert client.post("/uploads/import", body, "application/json").status_code == 200


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("unknown", 422, "unknown_upload"),
        ("another's", 422, "unknown_upload"),
        ("unfinished", 409, "upload_unfinished"),
        ("of unknown length", 409, "upload_unfinished"),
        ("expired", 410, "upload_expired"),
    ],
)
def test_an_import_is_refused_where_the_upload_is(
    client: TusClient, bob: Any, state: str, status: int, code: str
) -> None:
    sender = TusClient(bob) if state == "another's" else client
    address = sender.created(None if state == "of unknown length" else len(CONTENT))
    sender.patch(address, 0, CONTENT[:10] if state == "unfinished" else CONTENT)
    if state == "expired":
        age(address)
    if state == "unknown":
        client.send("DELETE", address)
    answer = client.post("/uploads/import", {"upload": address.rsplit("/", 1)[1]}, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["errors"][0]["pointer"] == "/upload"


def test_an_import_takes_a_file_or_an_upload_but_not_both_or_neither(client: TusClient) -> None:
    for body in ({}, {"upload": "no id"}):
        answer = client.post("/uploads/import", body, "application/json")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_the_name_of_the_file_is_made_harmless(client: TusClient) -> None:
    address = client.created(len(CONTENT), filename="../../etc/\u202epass\x07wd.csv", **{"import": "1"})
    client.patch(address, 0, CONTENT)
    assert Upload.objects.get().filename == "passwd.csv"


# What is left behind


def age(address: str) -> None:
    ResumableUpload.objects.filter(pk=row(address).pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_what_has_expired_is_deleted_with_its_bytes_and_the_rest_is_not(client: TusClient, files: Path) -> None:
    old, young = client.created(100), client.created(100)
    client.patch(old, 0, b"12345")
    client.patch(young, 0, b"12345")
    age(old)
    assert reconciler.reconcile()["prune_uploads"] == 1
    assert list(ResumableUpload.objects.all()) == [row(young)]
    assert kept(files) == ["incoming"]


def test_each_byte_that_comes_gives_it_more_time(client: TusClient) -> None:
    address = client.created(100)
    ResumableUpload.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    client.patch(address, 0, b"12345")
    assert row(address).expires_at > timezone.now() + timedelta(hours=23)


def test_files_that_no_row_names_are_swept_once_they_are_old(client: TusClient, files: Path) -> None:
    import os

    address = client.created(100)
    client.patch(address, 0, b"12345")
    for name in ("7f" * 16, "no-id", "young"):
        (files / "incoming" / name).write_bytes(b"left by a kill")
    for path in files.rglob("incoming/*"):
        if path.name != "young":
            os.utime(path, (0, 0))
    assert resumable.sweep() == 2
    assert {path.name for path in files.rglob("incoming/*")} == {str(row(address).pk), "young"}
