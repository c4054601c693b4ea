"""A file that comes in pieces, by the protocol of tus: what it gains, and what each violation is answered with."""

from __future__ import annotations

import operator
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

import uploads.operations
from lro.models import Operation
from lro.runtime import executor, reconciler
from tests.uploads.tus_client import CONTENT, SHA256, TusClient, age, assert_refused, digest, kept, row
from uploads import appending, leftovers, resumable
from uploads.models import Dataset, ResumableUpload, Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]


@pytest.fixture
def client(alice: Any) -> TusClient:
    return TusClient(alice)


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
    executor.execute(operation.pk)
    dataset = Dataset.objects.get()
    assert (dataset.name, dataset.rows) == ("people", 2)
    assert {"name": "age", "type": "integer"} in dataset.columns


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
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:10])
    appending._digests._running.clear()  # as after a restart
    client.patch(address, 10, CONTENT[10:])
    assert row(address).sha256 == SHA256


def test_the_digest_is_that_of_the_file_though_another_process_saw_its_middle(client: TusClient) -> None:
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:10])
    seen_here = {pk: (offset, running.copy()) for pk, (offset, running) in appending._digests._running.items()}
    client.patch(address, 10, CONTENT[10:20])
    appending._digests._running.clear()
    appending._digests._running.update(seen_here)
    client.patch(address, 20, CONTENT[20:])
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


def test_what_has_expired_is_deleted_with_its_bytes_and_the_rest_is_not(client: TusClient, files: Path) -> None:
    old, young = client.created(100), client.created(100)
    client.patch(old, 0, b"12345")
    client.patch(young, 0, b"12345")
    age(old)
    assert reconciler.reconcile()["prune_uploads"] == 1
    assert list(ResumableUpload.objects.all()) == [row(young)]
    assert kept(files) == ["incoming"]


def test_what_had_expired_stays_where_a_byte_came_meanwhile(client: TusClient) -> None:
    address = client.created(100)
    age(address)
    seen = row(address)
    ResumableUpload.objects.update(expires_at=resumable.expiry())
    assert not leftovers._prune(seen)
    assert client.patch(address, 0, b"12345").status_code == 204


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
    assert leftovers.sweep_incoming() == 2
    assert {path.name for path in files.rglob("incoming/*")} == {str(row(address).pk), "young"}


def test_what_a_kill_between_file_and_row_or_row_and_operation_left_is_swept(client: TusClient, files: Path) -> None:
    address = client.created(len(CONTENT), filename="people.csv")
    client.patch(address, 0, CONTENT)
    body = {"upload": str(row(address).pk)}
    assert client.post("/uploads/import", body, "application/json").status_code == 200
    used = Upload.objects.get()
    for killed in ("uploads.models.Upload.save", "uploads.operations.Import.tags"):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("uploads.operations.Import.discard", lambda *_: None)  # which a kill does not call
            patched.setattr(killed, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                client.post("/uploads/import", body, "application/json")
    mine = files / "uploads" / "report"
    mine.write_bytes(b"of another app")
    assert (len(list(files.rglob("uploads/*"))), Upload.objects.count()) == (4, 2)
    soon = time.time() + 60
    assert leftovers.sweep_kept(soon, soon + 60) == 0, "only what was kept between the two moments is looked at"
    assert leftovers.sweep_kept(0.0, soon) == 2
    assert set(files.rglob("uploads/*")) == {used.path, mine}
    assert Upload.objects.get() == used
    executor.execute(Operation.objects.get().pk)
    assert Dataset.objects.get().rows == 2


@pytest.mark.parametrize("moment", ["uploads.operations._inspect", "uploads.resumable.FinishedFile.keep_as"])
def test_an_import_is_refused_where_the_upload_is_given_up_at_that_moment(
    client: TusClient, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    address = client.created(len(CONTENT), filename="people.csv")
    client.patch(address, 0, CONTENT)
    upload = row(address)
    whole = operator.attrgetter(moment.removeprefix("uploads."))(uploads)

    def late(*given: Any) -> Any:
        resumable.delete(upload)
        return whole(*given)

    monkeypatch.setattr(moment, late)
    answer = client.post("/uploads/import", {"upload": str(upload.pk)}, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_upload")
