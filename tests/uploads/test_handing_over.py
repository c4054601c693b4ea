"""A dataset is named by its id to whoever works on it next, who knows nothing of the app that made it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro import datasets
from lro.models import Operation
from lro.runtime import executor
from uploads.models import Dataset

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]


def client_of(user: Any) -> Client:
    return Client(headers={"Authorization": f"Bearer {AccessToken.for_user(user)}"})


@pytest.fixture
def client(alice: Any) -> Client:
    return client_of(alice)


@pytest.fixture
def dataset(client: Client) -> Dataset:
    file = SimpleUploadedFile("people.csv", b"name,age,born\nAda,36,1815-12-10\nGrace,,1906-12-09\n")
    answer = client.post("/uploads/import", {"file": file, "types": '{"age": "integer"}'})
    executor.execute(answer.json()["id"])
    found: Dataset = Dataset.objects.get(operation_id=answer.json()["id"])
    return found


def read(client: Client, identifier: Any) -> Any:
    return client.post("/probe/reads", {"dataset": str(identifier)}, content_type="application/json")


def problem(answer: Any) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["code"], answer.json()["errors"][0]["pointer"]


def test_it_is_read_in_the_types_that_all_its_cells_fit(client: Client, dataset: Dataset) -> None:
    answer = read(client, dataset.pk)
    executor.execute(answer.json()["id"])
    result = client.get(f"/operations/{answer.json()['id']}").json()["result"]
    assert result["parts"] == [{"name": ["Ada", "Grace"], "age": [36, None], "born": ["1815-12-10", "1906-12-09"]}]


def test_some_of_its_columns_may_be_read_alone(dataset: Dataset) -> None:
    assert datasets.load(dataset.pk).read(0, ["age"]).to_pydict() == {"age": [36, None]}


def test_what_reads_it_is_found_by_its_tag_until_it_has_ended(client: Client, dataset: Dataset) -> None:
    identifier = read(client, dataset.pk).json()["id"]
    assert [str(pk) for pk in datasets.readers(dataset.pk).values_list("pk", flat=True)] == [identifier]
    executor.execute(identifier)
    assert not datasets.readers(dataset.pk).exists()
    assert not datasets.readers(uuid4()).exists()
    listed = client.get("/operations/", {"tag": datasets.tag(dataset.pk)}).json()["results"]
    assert [(row["id"], row["tags"]) for row in listed] == [(identifier, [f"dataset:{dataset.pk}"])]


def test_what_is_not_there_not_ready_or_anothers_is_refused_at_once(client: Client, bob: Any, dataset: Dataset) -> None:
    assert problem(read(client, uuid4())) == (422, "unknown_dataset", "/dataset")
    assert problem(read(client_of(bob), dataset.pk)) == (422, "unknown_dataset", "/dataset")
    assert read(client, "people").json()["errors"][0]["code"] == "invalid"
    Dataset.objects.filter(pk=dataset.pk).update(ready_at=None)
    assert problem(read(client, dataset.pk)) == (409, "dataset_not_ready", "/dataset")


def test_what_was_deleted_meanwhile_fails_who_reads_it(client: Client, dataset: Dataset) -> None:
    identifier = read(client, dataset.pk).json()["id"]
    Dataset.objects.filter(pk=dataset.pk).delete()
    executor.execute(identifier)
    assert Operation.objects.get(pk=identifier).error["code"] == "dataset_gone"
