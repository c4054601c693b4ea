"""A dataset becomes a table of the database: whole, typed, in a schema of its own, or not at all."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client

from lro.models import Operation
from lro.testing import Crash, run_due, strike
from tests.uploads.generator import write_dirty_csv
from tests.uploads.posting import client_of, dataset_of, imported, problem
from uploads import publishing
from uploads.models import Dataset

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("files", "checked", "no_tables"),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="COPY is PostgreSQL's"),
]
SENT = (
    b'name,age,score,ok,born,at\n"O""Neil, ""x""",36,1.5,true,1815-12-10,2024-01-02T03:04:05Z\n,,,,,\nBob,7,2,false,,\n'
)


@pytest.fixture
def client(alice: Any) -> Client:
    alice.user_permissions.add(Permission.objects.get(codename="publish_dataset"))
    return client_of(alice)


@pytest.fixture
def no_tables(db: None) -> Any:
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS datasets CASCADE")


@pytest.fixture
def dataset(client: Client) -> Dataset:
    return dataset_of(imported(client, SENT, "people.csv"))


def post(client: Client, dataset: Dataset, table: str = "people", **more: str) -> Any:
    data = {"dataset": str(dataset.pk), "table": table, **more}
    return client.post("/uploads/publish", data, content_type="application/json")


def published(client: Client, dataset: Dataset, table: str = "people", **more: str) -> Operation:
    answer = post(client, dataset, table, **more)
    assert answer.status_code == 200, answer.content
    run_due()
    return Operation.objects.get(pk=answer.json()["id"])


def rows(table: str = "people", columns: str = "*") -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM datasets.{table}")
        return list(cursor.fetchall())


def tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'datasets' ORDER BY 1")
        return [name for (name,) in cursor.fetchall()]


def test_every_type_arrives_as_it_is_and_null_as_null(client: Client, dataset: Dataset) -> None:
    operation = published(client, dataset)
    assert operation.state == "succeeded", operation.error
    moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert rows() == [
        ('O"Neil, "x"', 36, 1.5, True, date(1815, 12, 10), moment),
        (None,) * 6,
        ("Bob", 7, 2.0, False, None, None),
    ]
    assert operation.result == {"table": "datasets.people", "rows": 3, "columns": dataset.columns}
    assert tables() == ["people"]


class TestATableOfThatName:
    def test_is_left_alone(self, client: Client, dataset: Dataset) -> None:
        published(client, dataset)
        answer = post(client, dataset)
        assert problem(answer) == (409, "table_exists", "/table")
        assert "choose another name, or replace or append" in answer.json()["detail"]

    def test_that_came_meanwhile_fails_the_run(self, client: Client, dataset: Dataset) -> None:
        with strike("OperationContext.defer", lambda: _make("CREATE TABLE datasets.people (a int)")):
            operation = published(client, dataset)
        assert (operation.state, operation.error["code"]) == ("failed", "table_exists")
        assert tables() == ["people"]

    def test_is_replaced(self, client: Client, dataset: Dataset) -> None:
        published(client, dataset)
        other = dataset_of(imported(client, b"a\nx\n"))
        assert published(client, other, if_exists="replace").state == "succeeded"
        assert rows() == [("x",)]

    def test_gets_the_rows_appended(self, client: Client, dataset: Dataset) -> None:
        for _ in range(2):
            assert published(client, dataset, if_exists="append").state == "succeeded"
        assert [row[0] for row in rows()] == ['O"Neil, "x"', None, "Bob"] * 2
        assert tables() == ["people"]

    def test_of_other_columns_takes_none(self, client: Client, dataset: Dataset) -> None:
        published(client, dataset)
        for content in (b"name,age\nx,1\n", SENT.replace(b",1.5,", b",high,")):
            other = dataset_of(imported(client, content))
            answer = post(client, other, if_exists="append")
            assert problem(answer) == (422, "table_mismatch", "/table")
            assert "score is double precision in the table and" in answer.json()["detail"]

    def test_on_which_a_view_depends_stays(self, client: Client, dataset: Dataset) -> None:
        published(client, dataset)
        _make("CREATE VIEW datasets.names AS SELECT name FROM datasets.people")
        operation = published(client, dataset, if_exists="replace")
        assert operation.error["code"] == "table_not_changed"
        assert len(rows()) == 3
        assert tables() == ["people"]


def _make(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS datasets")
        cursor.execute(statement)


@pytest.mark.parametrize("border", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 4, 7])
def test_a_run_that_is_killed_at_any_checkpoint_goes_on(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, border: Any, nth: int
) -> None:
    def crash() -> None:
        raise Crash

    monkeypatch.setattr("uploads.sources.delimited.BLOCK_BYTES", 20_000)
    write_dirty_csv(tmp_path / "f.csv", 700, bad_share=0)
    dataset = dataset_of(imported(client, (tmp_path / "f.csv").read_bytes()))
    assert dataset.parts.count() == 5
    with strike("OperationContext.checkpoint", crash, border=border, nth=nth):
        operation = published(client, dataset)
    assert operation.state == "succeeded", operation.error
    assert [row[0] for row in rows(columns="id")] == list(range(700))
    assert tables() == ["people"]


class TestNothingIsLeft:
    def test_of_a_run_that_is_cancelled(self, client: Client, dataset: Dataset) -> None:
        from lro.testing import cancel_after

        with cancel_after(checkpoints=1):
            assert published(client, dataset).state == "cancelled"
        assert tables() == []

    def test_of_a_value_that_the_database_does_not_take(self, client: Client) -> None:
        sink = io.BytesIO()
        pq.write_table(pa.table({"a": ["x\0y"]}), sink)
        dataset = dataset_of(imported(client, sink.getvalue(), "data.parquet"))
        operation = published(client, dataset)
        assert operation.error["code"] == "not_storable"
        assert tables() == []

    def test_of_a_run_whose_worker_never_came_back(self, client: Client, dataset: Dataset) -> None:
        published(client, dataset)
        gone = Operation.objects.get(name="uploads.publish")
        _make(f"CREATE TABLE datasets.{publishing.staging_name(gone.pk)} (a int)")
        published(client, dataset, "others")
        assert tables() == ["others", "people"]
        _make(f"CREATE TABLE datasets.{publishing.staging_name(gone.pk)} (a int)")
        client.delete(f"/operations/{gone.pk}")
        assert tables() == ["others", "people"]


class TestARequest:
    def test_needs_the_permission(self, client: Client, bob: Any, dataset: Dataset) -> None:
        assert problem(post(client_of(bob), dataset))[:2] == (403, "permission_denied")

    @pytest.mark.parametrize("table", ["People", "1st", "a b", 'x"; DROP TABLE y', "a" * 49, "_staging_1", ""])
    def test_with_a_name_that_is_none_is_refused(self, client: Client, dataset: Dataset, table: str) -> None:
        assert problem(post(client, dataset, table)) == (400, "invalid", "/table")

    @pytest.mark.parametrize("header", ["x" * 64, "ctid"])
    def test_for_columns_that_no_table_has_is_refused(self, client: Client, header: str) -> None:
        dataset = dataset_of(imported(client, f"{header}\n1\n".encode()))
        assert problem(post(client, dataset)) == (422, "bad_column_name", "/dataset")

    def test_for_too_many_columns_is_refused(self, client: Client) -> None:
        header = ",".join(f"c{n}" for n in range(1601))
        dataset = dataset_of(imported(client, f"{header}\n".encode()))
        assert problem(post(client, dataset)) == (422, "too_many_columns", "/dataset")

    def test_for_a_name_that_is_being_published_is_refused(self, client: Client, dataset: Dataset) -> None:
        post(client, dataset)
        assert problem(post(client, dataset))[:2] == (409, "already_active")
        assert post(client, dataset, "others").status_code == 200

    def test_keeps_the_dataset_until_its_end(self, client: Client, dataset: Dataset) -> None:
        post(client, dataset)
        assert problem(client.delete(f"/uploads/datasets/{dataset.pk}"))[:2] == (409, "dataset_in_use")

    def test_to_another_database_is_refused(
        self, client: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("uploads.publishing.connection.vendor", "sqlite", raising=False)
            assert problem(post(client, dataset)) == (422, "unsupported_database", "/dataset")


def test_names_of_columns_are_quoted(client: Client) -> None:
    dataset = dataset_of(imported(client, '"a""b; DROP",Größe\n1,2\n'.encode()))
    assert published(client, dataset).state == "succeeded"
    assert rows(columns='"a""b; DROP", "Größe"') == [(1, 2)]


def test_a_dataset_is_not_deleted_while_it_is_published(
    client: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill, answers = publishing.Publication._fill, []

    def filling(self: publishing.Publication, content: memoryview) -> None:
        answers.append(client.delete(f"/uploads/datasets/{dataset.pk}"))
        fill(self, content)

    monkeypatch.setattr(publishing.Publication, "_fill", filling)
    assert published(client, dataset).state == "succeeded"
    assert [problem(answer)[:2] for answer in answers] == [(409, "dataset_in_use")]
    assert client.delete(f"/uploads/datasets/{dataset.pk}").status_code == 204


def test_a_row_that_no_page_of_postgresql_holds_is_told(client: Client) -> None:
    names = [f"c{number}" for number in range(1_500)]
    content = f"{','.join(names)}\n{','.join('1' for _ in names)}\n".encode()
    operation = published(client, dataset_of(imported(client, content)))
    assert (operation.state, operation.error["code"]) == ("failed", "not_storable")
    assert (
        operation.error["message"] == "PostgreSQL does not take a value: row is too big: size 12024, maximum size 8160."
    )
