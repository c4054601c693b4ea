from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro.runtime import executor
from lro.testing import run_due
from tests.validations.tables import MemoryTable, known


def client_of(user: Any) -> Client:
    return Client(headers={"Authorization": f"Bearer {AccessToken.for_user(user)}"})


@pytest.fixture
def client(alice: Any) -> Client:
    return client_of(alice)


@pytest.fixture
def upload(client: Client, files: Any) -> Callable[..., str]:
    """Import a CSV file, and return the id of its dataset."""

    def imported(content: str | bytes, name: str = "data.csv", types: dict[str, str] | None = None) -> str:
        data = content.encode() if isinstance(content, str) else content
        body: dict[str, Any] = {"file": SimpleUploadedFile(name, data)}
        if types:
            body["types"] = json.dumps(types)
        answer = client.post("/uploads/import", body)
        assert answer.status_code == 200, answer.content
        executor.execute(answer.json()["id"])
        return str(client.get(f"/operations/{answer.json()['id']}").json()["result"]["dataset"])

    return imported


@pytest.fixture
def table() -> Iterator[Callable[..., MemoryTable]]:
    """A table in memory: columns as `name=("integer", [1, 2])`, in parts of `part` rows."""
    with ExitStack() as stack:

        def made(part: int = 1000, called: str = "table", **columns: Any) -> MemoryTable:
            found = MemoryTable(columns, part, called)
            stack.enter_context(known(found))
            return found

        yield made


@pytest.fixture
def validate(client: Client, files: Any) -> Callable[..., Any]:
    """Run `validations.run` to its end, and return the operation."""

    def validated(dataset: Any, rules: Any = None, **wanted: Any) -> Any:
        data = {"dataset": str(getattr(dataset, "id", dataset)), **({"rules": rules} if rules else {}), **wanted}
        answer = client.post("/validations/run", data, content_type="application/json")
        assert answer.status_code == 200, answer.content
        run_due()
        return client.get(f"/operations/{answer.json()['id']}").json()

    return validated
