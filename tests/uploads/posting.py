"""How the tests send files as a person does, and read what came of them."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro.models import Operation
from lro.testing import run_due
from uploads.models import Dataset


def client_of(user: Any) -> Client:
    return Client(headers={"Authorization": f"Bearer {AccessToken.for_user(user)}"})


def send(client: Client, content: bytes, name: str = "data.csv", **fields: str) -> Any:
    return client.post("/uploads/import", {"file": SimpleUploadedFile(name, content), **fields})


def imported(client: Client, content: bytes, name: str = "data.csv", **fields: str) -> Operation:
    """Send it and run the import, and its children, to the end."""
    answer = send(client, content, name, **fields)
    assert answer.status_code == 200, answer.content
    run_due()
    return Operation.objects.get(pk=answer.json()["id"])


def rows_of(operation: Operation) -> dict[str, list[Any]]:
    """The columns of the dataset that the import made, in their types."""
    dataset = dataset_of(operation)
    tables = [dataset.read(index).to_pydict() for index in range(len(dataset.part_rows))]
    return {column["name"]: [v for table in tables for v in table[column["name"]]] for column in dataset.columns}


def dataset_of(operation: Operation) -> Dataset:
    found: Dataset = Dataset.objects.get(operation_id=operation.pk, ready_at__isnull=False)
    return found


def problem(answer: Any) -> tuple[int, str, str]:
    """The status, the code and the first place of a refusal."""
    places = [error.get("pointer", "") for error in answer.json()["errors"]] or [""]
    return answer.status_code, answer.json()["code"], places[0]


def body(answer: Any) -> bytes:
    """A download, of which the test client is given an asynchronous stream."""
    from asgiref.sync import async_to_sync

    async def read() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    return async_to_sync(read)()
