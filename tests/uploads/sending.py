"""A person who sends files, and what came of them."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro import datasets
from lro.models import Operation
from lro.runtime import executor
from uploads.models import Dataset

Rows = list[dict[str, Any]]


class Sender:
    def __init__(self, user: Any) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {AccessToken.for_user(user)}"})

    def post(self, content: bytes, name: str, /, **fields: str) -> Any:
        return self.client.post("/uploads/import", {"file": SimpleUploadedFile(name, content), **fields})

    def refused(self, content: bytes, name: str, **fields: str) -> tuple[int, str, str]:
        """Status, code and detail of the answer to a file that is not taken."""
        answer = self.post(content, name, **fields)
        assert answer.status_code >= 400, answer.content
        assert not Operation.objects.exists()
        return answer.status_code, answer.json()["code"], answer.json()["detail"]

    def submitted(self, content: bytes, name: str, **fields: str) -> Any:
        answer = self.post(content, name, **fields)
        assert answer.status_code == 200, answer.content
        return answer.json()["id"]

    def ended(self, content: bytes, name: str, **fields: str) -> Operation:
        identifier = self.submitted(content, name, **fields)
        executor.execute(identifier)
        return Operation.objects.get(pk=identifier)

    def imported(self, content: bytes, name: str, **fields: str) -> Operation:
        operation = self.ended(content, name, **fields)
        assert operation.state == "succeeded", operation.error
        return operation

    def rows(self, content: bytes, name: str, **fields: str) -> Rows:
        return rows_of(self.imported(content, name, **fields))


def rows_of(operation: Operation) -> Rows:
    """All rows of the dataset that an import made, in its types."""
    dataset = datasets.load(Dataset.objects.get(operation_id=operation.pk).pk)
    rows: Rows = []
    for part in range(len(dataset.part_rows)):
        rows += dataset.read(part).to_pylist()
    assert len(rows) == dataset.rows == operation.result["rows"]
    return rows


def types_of(operation: Operation) -> dict[str, str]:
    return {column["name"]: column["type"] for column in operation.result["columns"]}


def rejects_of(operation: Operation) -> list[tuple[int, str, str]]:
    return list(operation.rejects.order_by("position").values_list("position", "code", "message"))
