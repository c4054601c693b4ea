"""A dataset is looked into, downloaded whole, and deleted once nobody reads it."""

from __future__ import annotations

import io
from itertools import islice
from math import inf, nan
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from lro.runtime import executor
from tests.uploads.generator import write_dirty_csv
from tests.uploads.posting import body, client_of, dataset_of, imported, problem, rows_of
from uploads import deletion, downloads
from uploads.models import Dataset, Part

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]
SENT = b'name,age,at,note\nAda,36,2024-01-02T03:04:05,"x, ""y"""\nBob,,2024-02-03T00:00:00,\n'


@pytest.fixture
def client(alice: Any) -> Client:
    return client_of(alice)


@pytest.fixture
def dataset(client: Client) -> Dataset:
    return dataset_of(imported(client, SENT, "people.csv"))


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.sources.delimited.BLOCK_BYTES", 20_000)


class TestTheFirstRows:
    def test_are_typed_json(self, client: Client, dataset: Dataset) -> None:
        answer = client.get(f"/uploads/datasets/{dataset.pk}/rows").json()
        assert answer["columns"] == dataset.columns
        assert answer["rows"] == [
            {"name": "Ada", "age": 36, "at": "2024-01-02T03:04:05Z", "note": 'x, "y"'},
            {"name": "Bob", "age": None, "at": "2024-02-03T00:00:00Z", "note": None},
        ]

    @pytest.mark.usefixtures("in_blocks")
    def test_are_as_many_as_asked_for_over_parts(self, client: Client, tmp_path: Path) -> None:
        path = tmp_path / "f.csv"
        write_dirty_csv(path, 2000, bad_share=0)
        dataset = dataset_of(imported(client, path.read_bytes()))
        assert dataset.parts.count() > 5
        rows = client.get(f"/uploads/datasets/{dataset.pk}/rows", {"limit": 400}).json()["rows"]
        assert [row["id"] for row in rows] == list(range(400))

    def test_show_what_json_has_no_number_for(self, client: Client) -> None:
        pq.write_table(pa.table({"a": [nan], "b": [-inf]}), sink := io.BytesIO())
        dataset = dataset_of(imported(client, sink.getvalue(), "numbers.parquet"))
        answer = client.get(f"/uploads/datasets/{dataset.pk}/rows")
        assert answer.json()["rows"] == [{"a": "NaN", "b": "-Infinity"}]

    @pytest.mark.parametrize("limit", ["0", "501", "x", "²"])
    def test_are_refused_in_another_number(self, client: Client, dataset: Dataset, limit: str) -> None:
        answer = client.get(f"/uploads/datasets/{dataset.pk}/rows", {"limit": limit})
        assert problem(answer) == (400, "invalid", "/limit")


class TestADownload:
    def test_as_csv_is_imported_again_as_the_same(self, client: Client, dataset: Dataset) -> None:
        answer = client.get(f"/uploads/datasets/{dataset.pk}/download")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="people.csv"'
        content = body(answer)
        assert content.startswith(b'"name","age","at","note"\n"Ada",36,')
        again = imported(client, content)
        assert rows_of(again)["age"] == [36, None]
        assert again.result["columns"] == dataset.columns

    @pytest.mark.usefixtures("in_blocks")
    def test_as_parquet_has_all_parts_in_the_types(self, client: Client, tmp_path: Path) -> None:
        path = tmp_path / "f.csv"
        write_dirty_csv(path, 2000)
        operation = imported(client, path.read_bytes())
        answer = client.get(f"/uploads/datasets/{dataset_of(operation).pk}/download", {"format": "parquet"})
        file = pq.ParquetFile(io.BytesIO(body(answer)))
        assert file.num_row_groups > 5
        assert file.read().to_pydict() == rows_of(operation)

    def test_of_no_rows_is_a_header(self, client: Client) -> None:
        dataset = dataset_of(imported(client, b"a,b\n"))
        assert body(client.get(f"/uploads/datasets/{dataset.pk}/download")) == b'"a","b"\n'

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("???", 'filename="___.csv"'),
            ("..", 'filename="dataset.csv"'),
            ("../etc/pass wd.txt", 'filename="_etc_pass wd.csv"'),
            ('a\r\nX: "y"; z="', 'filename="a__X_ _y_; z=_.csv"'),
            ("données", "filename*=utf-8''donn%C3%A9es.csv"),
            ("\u202egpj.csv", 'filename="_gpj.csv"'),
        ],
    )
    def test_has_a_name_that_is_harmless(self, client: Client, dataset: Dataset, name: str, shown: str) -> None:
        Dataset.objects.update(name=name)
        answer = client.get(f"/uploads/datasets/{dataset.pk}/download")
        assert answer.headers["Content-Disposition"] == f"attachment; {shown}"

    @pytest.mark.usefixtures("in_blocks")
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_is_sent_part_by_part(
        self, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        write_dirty_csv(tmp_path / "f.csv", 2000)
        dataset = dataset_of(imported(client, (tmp_path / "f.csv").read_bytes()))
        read, seen = Dataset.read, []

        def watched(self: Dataset, part: int) -> Any:
            seen.append(part)
            return read(self, part)

        monkeypatch.setattr(Dataset, "read", watched)
        pieces = iter(downloads._as_csv(dataset) if kind == "csv" else downloads._as_parquet(dataset))
        assert [len(seen) for _ in islice(pieces, 4)][-1] <= 4 < dataset.parts.count()

    def test_in_another_format_is_refused(self, client: Client, dataset: Dataset) -> None:
        answer = client.get(f"/uploads/datasets/{dataset.pk}/download", {"format": "xml"})
        assert problem(answer) == (400, "invalid", "/format")

    def test_before_it_is_ready_is_refused(self, client: Client, dataset: Dataset) -> None:
        Dataset.objects.update(ready_at=None)
        for what in ("download", "rows"):
            answer = client.get(f"/uploads/datasets/{dataset.pk}/{what}")
            assert problem(answer)[:2] == (409, "dataset_not_ready")


class TestDeleting:
    def test_takes_rows_and_files(self, client: Client, dataset: Dataset) -> None:
        assert client.delete(f"/uploads/datasets/{dataset.pk}").status_code == 204
        assert not Dataset.objects.exists()
        assert not Part.objects.exists()
        assert not dataset.folder.exists()
        assert client.delete(f"/uploads/datasets/{dataset.pk}").status_code == 404

    def test_is_refused_while_it_is_read_and_says_by_whom(self, client: Client, dataset: Dataset) -> None:
        reader = client.post("/probe/reads", {"dataset": str(dataset.pk)}, content_type="application/json").json()
        answer = client.delete(f"/uploads/datasets/{dataset.pk}")
        assert problem(answer)[:2] == (409, "dataset_in_use")
        assert answer.json()["errors"] == [{"operation": reader["id"], "name": "probe.reads", "state": "queued"}]
        assert answer.json()["detail"].startswith(f"people.csv is used by probe.reads {reader['id']}; wait for its end")
        executor.execute(reader["id"])
        assert client.delete(f"/uploads/datasets/{dataset.pk}").status_code == 204

    def test_is_not_for_others_who_may_only_see_it(self, client: Client, bob: Any, dataset: Dataset) -> None:
        assert client_of(bob).delete(f"/uploads/datasets/{dataset.pk}").status_code == 404
        bob.user_permissions.add(Permission.objects.get(codename="view_all_operations"))
        assert problem(client_of(bob).delete(f"/uploads/datasets/{dataset.pk}"))[:2] == (403, "permission_denied")
        bob.user_permissions.add(Permission.objects.get(codename="delete_dataset"))
        assert client_of(bob).delete(f"/uploads/datasets/{dataset.pk}").status_code == 204

    def test_goes_on_where_a_kill_left_it(
        self, client: Client, alice: Any, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Dataset, "delete", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                deletion.delete(dataset, alice)
        assert not Dataset.objects.get().is_ready
        assert client.delete(f"/uploads/datasets/{dataset.pk}").status_code == 204
        deletion.delete(dataset, alice)  # again, by another request at the same time

    def test_what_is_not_there_is_not_found(self, client: Client) -> None:
        for call in (client.delete, client.get):
            assert call(f"/uploads/datasets/{uuid4()}").status_code == 404


def test_the_admin_shows_who_reads_a_dataset(client: Client, admin_client: Client, dataset: Dataset) -> None:
    page = f"/admin/uploads/dataset/{dataset.pk}/change/"
    assert "Operations that read it" in admin_client.get(page).content.decode()
    reader = client.post("/probe/reads", {"dataset": str(dataset.pk)}, content_type="application/json").json()["id"]
    shown = admin_client.get(page).content.decode()
    assert f'<a href="/admin/lro/operation/{reader}/change/">probe.reads</a>, queued' in shown
