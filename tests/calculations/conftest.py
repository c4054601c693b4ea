from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro.models import Operation
from lro.testing import run_due
from uploads.models import Dataset

Post = Callable[..., Any]


@pytest.fixture
def client(alice: Any) -> Client:
    return client_of(alice)


def client_of(user: Any) -> Client:
    return Client(headers={"Authorization": f"Bearer {AccessToken.for_user(user)}"})


@pytest.fixture
def post(client: Client) -> Post:
    """Start `calculations.{kind}`."""
    return lambda kind, **data: client.post(f"/calculations/{kind}", data, content_type="application/json")


@pytest.fixture
def compute(post: Post) -> Callable[..., Operation]:
    """Start `calculations.{kind}`, and run it and its children to their end."""

    def run(kind: str, **data: Any) -> Operation:
        answer = post(kind, **data)
        assert answer.status_code == 200, answer.content
        run_due()
        return Operation.objects.get(pk=answer.json()["id"])

    return run


@pytest.fixture
def result(compute: Callable[..., Operation]) -> Callable[..., dict[str, Any]]:
    def run(kind: str, **data: Any) -> dict[str, Any]:
        operation = compute(kind, **data)
        assert operation.state == "succeeded", operation.error
        return dict(operation.result)

    return run


@pytest.fixture
def imported(client: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A dataset of columns, imported as people do; its id. Small `block_bytes` make many parts."""

    def run(columns: Mapping[str, Iterable[Any]], types: dict[str, str], *, block_bytes: int = 2 * 2**20) -> str:
        monkeypatch.setattr("uploads.sources.delimited.BLOCK_BYTES", block_bytes)
        file = SimpleUploadedFile("table.csv", as_csv(columns).encode())
        answer = client.post("/uploads/import", {"file": file, "types": json.dumps(types)})
        assert answer.status_code == 200, answer.content
        run_due()
        operation = Operation.objects.get(pk=answer.json()["id"])
        assert operation.rejected == 0, list(operation.rejects.values_list("message", flat=True)[:5])
        return str(Dataset.objects.get(operation_id=operation.pk).pk)

    return run


def as_csv(columns: Mapping[str, Iterable[Any]]) -> str:
    """Numbers as they are written shortest; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
