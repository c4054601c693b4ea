"""Lists a page at a time: every row is on one page, whatever the size of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from lro.models import Operation
from lro.runtime import submission

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(alice: Any) -> list[Operation]:
    return [submission.submit("probe.counts", {"to": 1}, alice).operation for _ in range(3)]


@pytest.fixture
def reader(alice: Any, client: Client) -> Client:
    client.force_login(alice)
    return client


def pages(reader: Client, address: str | None) -> Iterator[list[str]]:
    while address:
        answer = reader.get(address).json()
        yield [row["id"] for row in answer["results"]]
        address = answer["next"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 501])
def test_every_row_is_on_one_page(reader: Client, three: list[Operation], limit: int) -> None:
    found = list(pages(reader, f"/operations/?limit={limit}"))
    assert [identifier for page in found for identifier in page] == [str(row.pk) for row in reversed(three)]
    assert all(len(page) == limit for page in found[:-1])


@pytest.mark.parametrize("kind", ["", "{}/children/", "{}/events/", "{}/rejects/"])
@pytest.mark.parametrize("limit", ["0", "-1", "many", ""])
def test_a_page_without_a_row_is_refused(reader: Client, three: list[Operation], kind: str, limit: str) -> None:
    answer = reader.get(f"/operations/{kind.format(three[0].pk)}?limit={limit}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["errors"][0]["parameter"] == "limit"
