"""What docs/datasets.md says is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection

from lro.models import Operation
from lro.testing import run_due
from tests.uploads.posting import body, client_of, dataset_of, imported
from uploads import declarations, schema_constraints, table_schema

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()


def block(language: str, name: str) -> str:
    found = re.search(rf"^```{language} {re.escape(name)}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found, name
    return found[1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("files", "checked")
def test_the_examples_of_the_page(alice: Any) -> None:
    alice.user_permissions.add(Permission.objects.get(codename="publish_dataset"))
    client, schema = client_of(alice), block("json", "schema")
    operation = imported(client, block("csv", "people.csv").encode(), "people.csv", schema=schema)
    rejects = body(client.get(f"/uploads/imports/{operation.pk}/rejects.csv")).decode("utf-8-sig")
    assert rejects.replace("\r\n", "\n") == block("csv", "rejects.csv")
    repaired = rejects.replace(";old;", ";35;").replace("Eve;41", "Eve;41;N/A")
    assert imported(client, repaired.encode(), schema=schema).result["rejected"] == 0
    dataset = dataset_of(operation)
    assert client.get(f"/uploads/datasets/{dataset.pk}/rows").json() == json.loads(block("json", "rows"))
    if connection.vendor == "postgresql":
        asked = json.loads(block("json", "publish")) | {"dataset": str(dataset.pk)}
        identifier = client.post("/uploads/publish", asked, content_type="application/json").json()["id"]
        run_due()
        result: Any = Operation.objects.get(pk=identifier).result
        assert json.loads(block("json", "published")).items() <= result.items()
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA datasets CASCADE")


def test_every_word_of_a_schema_is_on_the_page() -> None:
    words = [*table_schema.TYPES, *table_schema.STRING_FORMATS, *schema_constraints._CONSTRAINTS]
    words += [word for own in table_schema._OF_TYPE.values() for word in own]
    assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_the_size_from_which_a_file_is_divided_is_on_the_page() -> None:
    assert f"{2 * declarations._RANGE_BYTES // 2**20} MiB or more" in PAGE
