"""Lists a page at a time: every row is on one page, whatever the size of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from lro.models import Artifact, Operation
from lro.runtime import control, submission
from lro.testing import run_operation

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


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 501])
def test_every_artifact_is_on_one_page(reader: Client, three: list[Operation], limit: int) -> None:
    made = [
        Artifact.objects.create(operation=three[0], name=f"{number}.csv", file="a", size=1, sha256="0" * 64)
        for number in range(3)
    ]
    found = list(pages(reader, f"/operations/{three[0].pk}/artifacts/?limit={limit}"))
    assert [identifier for page in found for identifier in page] == sorted(str(row.pk) for row in made)
    assert all(len(page) == limit for page in found[:-1])


@pytest.mark.parametrize("kind", ["", "{}/children/", "{}/events/", "{}/rejects/", "{}/artifacts/"])
@pytest.mark.parametrize("limit", ["0", "-1", "many", ""])
def test_a_page_without_a_row_is_refused(reader: Client, three: list[Operation], kind: str, limit: str) -> None:
    answer = reader.get(f"/operations/{kind.format(three[0].pk)}?limit={limit}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["errors"][0]["parameter"] == "limit"


@pytest.mark.parametrize("parameter", ["name", "module", "search", "owner", "tag"])
def test_a_filter_that_no_database_can_look_for_is_refused(reader: Client, parameter: str) -> None:
    answer = reader.get("/operations/", {parameter: "a\0b"})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (400, parameter)


@pytest.mark.django_db(transaction=True)
def test_the_tag_of_a_parent_tells_that_a_child_of_it_is_at_work_again(reader: Client, alice: Any) -> None:
    data = {"child": "probe.fails", "inputs": [{"a": 1}], "on_failure": "collect"}
    parent = run_operation("probe.splits", data, alice)
    before = reader.get(f"/operations/{parent.pk}")
    assert before.json()["children"]["failed"] == 1
    control.act("retry", parent.children.get().pk, "alice")
    known = {"If-None-Match": before.headers["ETag"]}
    after = reader.get(f"/operations/{parent.pk}", headers=known)
    assert (after.status_code, after.json()["children"]["failed"]) == (200, 0)
    assert reader.get(f"/operations/{parent.pk}", headers={"If-None-Match": after.headers["ETag"]}).status_code == 304
