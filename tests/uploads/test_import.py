"""`uploads.import` from the request to the dataset, on everything that people send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro.models import Operation
from lro.models.operation import uuid7
from lro.runtime import executor
from lro.testing import strike
from tests.uploads.generator import write_dirty_csv
from uploads.models import Dataset, Upload
from uploads.operations import Import

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]


@pytest.fixture
def client(alice: Any) -> Client:
    return Client(headers={"Authorization": f"Bearer {AccessToken.for_user(alice)}"})


def post(client: Client, content: bytes, name: str = "data.csv", headers: Any = None, **fields: str) -> Any:
    body = {"file": SimpleUploadedFile(name, content), **fields}
    return client.post("/uploads/import", body, headers=headers)


def imported(answer: Any) -> Operation:
    assert answer.status_code == 200, answer.content
    executor.execute(answer.json()["id"])
    return Operation.objects.get(pk=answer.json()["id"])


def table(operation: Operation) -> dict[str, list[Any]]:
    dataset = Dataset.objects.get(operation_id=operation.pk)
    assert dataset.ready_at is not None
    return dict(pq.ParquetDataset(dataset.paths()).read().to_pydict())


def test_good_rows_land_in_a_dataset_and_bad_ones_among_the_rejects(client: Client) -> None:
    operation = imported(post(client, b"name,age\nAda,36\nBob\nEve,41,x\nGrace,85\n"))
    assert operation.state == "succeeded", operation.error
    assert table(operation) == {"name": ["Ada", "Grace"], "age": ["36", "85"]}
    assert operation.result["columns"] == [{"name": "name", "type": "string"}, {"name": "age", "type": "integer"}]
    rejects = client.get(f"/operations/{operation.pk}/rejects/").json()["results"]
    assert [(r["position"], r["code"], r["message"]) for r in rejects] == [
        (3, "ragged_short", "Line 3: expected 2 fields, found 1."),
        (4, "ragged_long", "Line 4: expected 2 fields, found 3."),
    ]
    assert rejects[0]["raw"] == "Bob"
    assert rejects[0]["offset"] == 16


def test_the_events_tell_the_whole_story(client: Client) -> None:
    operation = imported(post(client, b"a,b\n1,2\n3\n"))
    events = client.get(f"/operations/{operation.pk}/events/").json()["results"]
    kinds = [event["kind"] for event in events]
    facts = [kind for kind in kinds if kind != "progress"]
    assert facts == [
        "created",
        "started",
        "uploads.detected",
        "step",
        "reject",
        "uploads.batch",
        "uploads.completed",
        "succeeded",
    ]
    assert kinds[-2] == "progress"
    assert [event["sequence"] for event in events] == list(range(1, len(kinds) + 1))


def test_declared_types_make_what_does_not_fit_a_reject(client: Client) -> None:
    operation = imported(post(client, b"item,quantity\npen,3\nink,N/A\n", types='{"quantity": "integer"}'))
    reject = operation.rejects.get()
    assert (reject.position, reject.column, reject.code) == (3, "quantity", "type_error")
    assert reject.message == "Line 3, column quantity: 'N/A' is not an integer."


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"", "empty.csv", 422, "empty_file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "photo.csv", 415, "unsupported_format"),
        (b"PK\x03\x04" + bytes(200), "book.csv", 415, "unsupported_format"),
    ],
)
def test_what_is_no_table_is_refused_before_there_is_an_operation(
    client: Client, files: Path, content: bytes, name: str, status: int, code: str
) -> None:
    answer = post(client, content, name)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not Operation.objects.exists()
    assert not Upload.objects.exists()
    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_a_file_over_the_limit_is_refused_with_both_sizes(client: Client, settings: Any, files: Path) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    answer = post(client, b"a,b\n" + b"1,2\n" * 500)
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert "2,004" in answer.json()["detail"]
    assert "1,000" in answer.json()["detail"]
    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_a_missing_file_is_named(client: Client) -> None:
    answer = client.post("/uploads/import", {})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/file"


def test_an_unknown_column_or_type_is_named_with_its_place(client: Client) -> None:
    for types, code in (
        ('{"b": "integer"}', "unknown_column"),
        ('{"a": "colour"}', "unknown_type"),
        ("[1]", "invalid"),
    ):
        answer = post(client, b"a\n1\n", types=types)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.json()["errors"][0]["pointer"].startswith("/types")


def test_a_wrong_encoding_is_refused_and_the_right_one_is_read(client: Client) -> None:
    content = "name,town\nJürgen,Köln\nZoë,Łódź\n".encode("utf-16")
    operation = imported(post(client, content))
    assert table(operation)["town"] == ["Köln", "Łódź"]
    answer = post(client, "name\nJürgen\n".encode("cp1252"), encoding="no-such-thing")
    assert answer.status_code == 422
    assert answer.json()["code"] == "unknown_encoding"


def test_a_newline_within_quotes_is_data_and_lines_count_on(client: Client) -> None:
    operation = imported(post(client, b'a,b\n"one\ntwo",2\nbad\n'))
    assert table(operation) == {"a": ["one\ntwo"], "b": ["2"]}
    assert operation.rejects.get().position == 4


def test_a_header_of_two_thousand_columns_is_imported(client: Client) -> None:
    header = ",".join(f"column_{n}" for n in range(2000))
    row = ",".join(str(n) for n in range(2000))
    operation = imported(post(client, f"{header}\n{row}\n{row}\n".encode()))
    assert operation.state == "succeeded", operation.error
    assert len(operation.result["columns"]) == 2000
    assert operation.result["rows"] == 2


def test_tabs_are_found(client: Client) -> None:
    operation = imported(post(client, b"a\tb\n1\t2\n", name="data.tsv"))
    assert table(operation) == {"a": ["1"], "b": ["2"]}


def test_only_a_header_is_a_dataset_without_rows(client: Client) -> None:
    operation = imported(post(client, b"a,b\n"))
    assert (operation.state, operation.result["rows"]) == ("succeeded", 0)


@pytest.mark.parametrize("name", ["../../etc/passwd.csv", "C:\\secret\\a.csv", "a\u202egpj.csv", "x" * 300 + ".csv"])
def test_a_file_name_is_a_label_and_never_a_path(client: Client, files: Path, name: str) -> None:
    operation = imported(post(client, b"a\n1\n", name=name))
    shown = operation.input["filename"]
    assert "/" not in shown
    assert "\\" not in shown
    assert "\u202e" not in shown
    assert len(shown.encode()) <= 255
    stored = [path.relative_to(files).parts[0] for path in files.rglob("*") if path.is_file()]
    assert set(stored) == {"uploads", "datasets"}


class TestAnIdempotencyKey:
    def test_makes_a_repeat_find_the_first_operation(self, client: Client, files: Path) -> None:
        headers = {"Idempotency-Key": '"k1"'}
        first, second = (post(client, b"a\n1\n", headers=headers) for _ in range(2))
        assert first.json()["id"] == second.json()["id"]
        assert second.headers["Idempotency-Replayed"] == "true"
        assert Upload.objects.count() == len(list((files / "uploads").iterdir())) == 1

    def test_refuses_another_input_under_the_same_key(self, client: Client) -> None:
        headers = {"Idempotency-Key": '"k1"'}
        post(client, b"a\n1\n", headers=headers)
        answer = post(client, b"a\n2\n", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")


def test_whoever_lost_its_lease_deletes_nothing_of_its_successor(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins anew, as a retry from the start does, and another one has taken over before it comes to it."""
    monkeypatch.setattr("uploads.sources.delimited.BLOCK_BYTES", 8)
    failed = imported(post(client, b"a,b\n1,2\n3,4\n5\n", max_rejects="0"))
    assert failed.state == "failed"
    parts = Dataset.objects.get(operation_id=failed.pk).parts
    before = list(parts.values_list("pk", flat=True))
    assert before
    client.post(f"/operations/{failed.pk}/retry", {"from": "start"}, content_type="application/json")
    with strike("OperationContext.checkpoint", lambda: Operation.objects.update(fence=F("fence") + 1)):
        executor.execute(failed.pk)
    assert list(parts.values_list("pk", flat=True)) == before
    Operation.objects.update(fence=F("fence") - 1)


def test_files_of_a_later_attempt_are_not_taken_for_leftovers(client: Client) -> None:
    answer = post(client, b"a\n1\n")
    folder = Dataset(pk=uuid7()).folder
    identifier = answer.json()["id"]
    dataset = Dataset.objects.create(pk=folder.name, operation_id=identifier, name="d", sha256="")
    folder.mkdir(parents=True)
    names = [f"000007-{identifier[-12:]}-{attempt}.parquet" for attempt in (0, 2)]
    for name in names:
        (folder / name).write_bytes(b"")
    executor.execute(identifier)
    kept = {path.name for path in folder.iterdir()} - set(dataset.parts.values_list("file", flat=True))
    assert kept == {names[1]}


def test_an_import_that_is_stopped_at_each_checkpoint_ends_as_one_that_is_not(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash after any checkpoint: the next attempt goes on, and rows, rejects and files are those of one attempt."""
    from lro.lifecycle import transitions
    from lro.runtime.context import OperationContext

    path = tmp_path / "dirty.csv"
    truth = write_dirty_csv(path, 5000, bad_share=0.05)
    monkeypatch.setattr("uploads.sources.delimited.BLOCK_BYTES", 64 * 1024)
    save = OperationContext.checkpoint

    def crash_after(self: OperationContext, *args: Any, **kwargs: Any) -> None:
        save(self, *args, **kwargs)
        raise ConnectionError("pulled the plug")

    monkeypatch.setattr(OperationContext, "checkpoint", crash_after)
    identifier = post(client, path.read_bytes()).json()["id"]
    for _ in range(100):
        executor.execute(identifier)
        operation = Operation.objects.get(pk=identifier)
        if (operation.checkpoint or {}).get("fraction") == 1:
            monkeypatch.setattr(OperationContext, "checkpoint", save)
        if operation.is_terminal:
            break
        Operation.objects.filter(pk=identifier).update(run_at=operation.created_at)
        transitions.requeue(operation.pk)
    assert operation.state == "succeeded"
    assert operation.attempt > 5
    assert list(operation.rejects.values_list("position", "code")) == truth.rejects
    ids = table(operation)["id"]
    assert len(ids) == len(set(ids)) == truth.good_rows


def kept(files: Path) -> list[str]:
    """The folders of all files that there are."""
    return sorted(str(path.parent.relative_to(files)).split("/")[0] for path in files.rglob("*") if path.is_file())


def test_deleting_the_operation_deletes_the_upload_and_keeps_the_dataset(client: Client, files: Path) -> None:
    operation = imported(post(client, b"a,b\n1,2\n"))
    assert kept(files) == ["datasets", "uploads"]
    assert client.delete(f"/operations/{operation.pk}").status_code == 204
    assert not Upload.objects.exists()
    assert kept(files) == ["datasets"]
    assert table(operation) == {"a": ["1"], "b": ["2"]}


def test_deleting_an_import_that_did_not_come_to_its_end_deletes_its_parts(client: Client, files: Path) -> None:
    operation = imported(post(client, b"a,b\n1,2\n"))
    Dataset.objects.update(ready_at=None)
    assert client.delete(f"/operations/{operation.pk}").status_code == 204
    assert not Dataset.objects.exists()
    assert not Upload.objects.exists()
    assert kept(files) == []
    assert list((files / "datasets").iterdir()) == []


def test_deleting_an_import_that_never_ran_deletes_the_upload(client: Client, files: Path) -> None:
    identifier = post(client, b"a,b\n1,2\n").json()["id"]
    client.post(f"/operations/{identifier}/cancel")
    assert client.delete(f"/operations/{identifier}").status_code == 204
    assert kept(files) == []
    Import.forget(Operation(id=identifier, input={"upload": str(uuid7())}))  # again, as after a kill


class TestACheckAlone:
    """`validate_only=true` looks as closely as a start does, and keeps nothing."""

    def post(self, client: Client, content: bytes, **fields: str) -> Any:
        body = {"file": SimpleUploadedFile("data.csv", content), **fields}
        return client.post("/uploads/import?validate_only=true", body)

    def test_finds_nothing_wrong(self, client: Client, files: Path) -> None:
        assert self.post(client, b"a,b\n1,2\n").json() == {"valid": True}
        assert not Operation.objects.exists()
        assert not Upload.objects.exists()
        assert not [path for path in files.rglob("*") if path.is_file()]

    def test_refuses_what_is_no_table(self, client: Client) -> None:
        answer = self.post(client, b"\x89PNG\r\n\x1a\n" + bytes(99))
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_format")
