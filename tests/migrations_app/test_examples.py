"""The shipped examples do what they say, on made records and on real ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from lro.runtime import executor
from lro.testing import crash_after
from migrations_app import contacts
from migrations_app.models import Airport, Company, ContactImport, Person
from tests.migrations_app.digest import digest
from tests.migrations_app.runs import HISTORY, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked", "files")]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Ada Lovelace", ("Ada", "Lovelace")),
        ("Lovelace, Ada", ("Ada", "Lovelace")),
        ("Vincent van Gogh", ("Vincent", "van Gogh")),
        ("Johann Wolfgang von  Goethe", ("Johann Wolfgang", "von Goethe")),
        ("Plato", ("", "Plato")),
        ("", ("", "")),
    ],
)
def test_a_name_is_split(text: str, names: tuple[str, str]) -> None:
    assert contacts.split_name(text) == names


def test_addresses_and_numbers_are_written_in_one_way() -> None:
    assert contacts.normal_email(" <Ada@Example.ORG> ") == "ada@example.org"
    assert contacts.normal_email("ada at example") is None
    assert contacts.normal_phone("+49 (30) 123-45") == "+493012345"
    assert contacts.normal_phone("n/a") == ""


ROWS = [
    ("Ada Lovelace", "ADA@example.org", "030 / 1", "Analytical  Engines"),
    ("Hopper, Grace", "grace@example.org", "", "Navy"),
    ("A. Lovelace", "ada@example.org", "", "Analytical Engines"),
    ("Nobody", "by pigeon", "", ""),
    ("", "void@example.org", "", "Navy"),
]


@pytest.fixture
def imported(db: None) -> None:
    names = ("full_name", "email", "phone", "company_name")
    ContactImport.objects.bulk_create(ContactImport(**dict(zip(names, row, strict=True))) for row in ROWS)


@pytest.mark.parametrize("checkpoints", [0, 2, 3, 4])
def test_contacts_become_people_of_companies(clerk: Any, imported: None, checkpoints: int) -> None:
    with crash_after(checkpoints=checkpoints or 99):
        operation = run(clerk, "contacts.split")
    assert operation.state == "succeeded", operation.error
    found = Person.objects.order_by("pk").values_list("first_name", "last_name", "email", "phone", "company__name")
    assert list(found) == [
        ("Ada", "Lovelace", "ada@example.org", "0301", "Analytical Engines"),
        ("Grace", "Hopper", "grace@example.org", "", "Navy"),
        ("A.", "Lovelace", "ada@example.org", "", "Analytical Engines"),
    ]
    assert [row.code for row in operation.rejects.all()] == ["no_email", "no_name"]
    by_contact = dict(ContactImport.objects.exclude(person=None).values_list("full_name", "person__last_name"))
    assert by_contact == {"Ada Lovelace": "Lovelace", "Hopper, Grace": "Hopper", "A. Lovelace": "Lovelace"}
    assert Company.objects.count() == 2


def test_a_dry_run_of_the_split_sees_the_companies_that_it_would_make(clerk: Any, imported: None) -> None:
    before = digest()
    operation = run(clerk, "contacts.split", dry_run=True)
    people = next(step for step in operation.result["steps"] if step["step"] == "split-people")
    assert (people["changed"], people["failed"]) == (3, 2)
    assert digest() == before


def test_duplicates_become_one_and_nothing_that_only_one_of_them_knew_is_lost(clerk: Any, imported: None) -> None:
    run(clerk, "contacts.split")
    Person.objects.filter(first_name="Ada").update(phone="", company=None)
    Person.objects.filter(first_name="A.").update(phone="0301")
    operation = run(clerk, "contacts.merge-duplicates")
    assert operation.state == "succeeded", operation.error
    ada = Person.objects.get(email="ada@example.org")
    assert (ada.first_name, ada.phone, ada.company.name) == ("Ada", "0301", "Analytical Engines")  # type: ignore[union-attr]
    assert ContactImport.objects.filter(person=ada).count() == 2
    assert operation.result["steps"][0]["written"]["migrations_app.person"] == {"updated": 1, "deleted": 1}


def test_a_column_is_filled_and_emptied_again(clerk: Any, imported: None) -> None:
    run(clerk, "contacts.split")
    first = run(clerk, "contacts.fill-search-name")
    assert set(Person.objects.values_list("search_name", flat=True)) == {"ada lovelace", "grace hopper", "a. lovelace"}
    assert run(clerk, "contacts.fill-search-name").result["skipped"] == 3
    run(clerk, "contacts.fill-search-name", reverse=str(first.pk))
    assert set(Person.objects.values_list("search_name", flat=True)) == {""}


# A real dataset: the airports of the United States, of vega_datasets


def source() -> bytes:
    from vega_datasets import data

    return Path(data.airports.filepath).read_bytes()


def truth() -> dict[str, tuple[Any, ...]]:
    """The same file read by another reader."""
    rows = csv.DictReader(source().decode().splitlines())
    names = ("name", "city", "state", "country")
    return {
        row["iata"]: (*(row[name] for name in names), float(row["latitude"]), float(row["longitude"])) for row in rows
    }


def stored() -> dict[str, tuple[Any, ...]]:
    names = ("iata", "name", "city", "state", "country", "latitude", "longitude")
    return {row[0]: row[1:] for row in Airport.objects.values_list(*names)}


def imported_dataset(client: Client, content: bytes, name: str = "airports.csv") -> str:
    body = client.post("/uploads/import", {"file": SimpleUploadedFile(name, content)}).json()
    executor.execute(body["id"])
    return str(client.get(f"/operations/{body['id']}").json()["result"]["dataset"])


def test_a_dataset_is_loaded_updated_and_taken_back(client: Client, clerk: Any) -> None:
    dataset = imported_dataset(client, source())
    Airport.objects.create(iata="JFK", name="Idlewild", country="USA", latitude=0, longitude=0)
    Airport.objects.create(iata="ZZZZ", name="Nowhere", country="-", latitude=0, longitude=0)
    before = digest(without=HISTORY)
    trial = run(clerk, "airports.load", parameters={"dataset": dataset}, dry_run=True)
    assert digest(without=HISTORY) == before
    with crash_after(checkpoints=3):
        operation = run(clerk, "airports.load", parameters={"dataset": dataset})
    assert operation.state == "succeeded", operation.error
    assert f"dataset:{dataset}" in operation.tags
    found = stored()
    assert found.pop("ZZZZ") == ("Nowhere", "", "", "-", 0.0, 0.0)
    assert found == truth()
    assert len(found) == 3_376
    assert operation.result["steps"][0]["written"] == {"migrations_app.airport": {"inserted": 3_375, "updated": 1}}
    assert trial.result["changed"] == operation.result["changed"] == 3_376
    again = run(clerk, "airports.load", parameters={"dataset": dataset})
    assert (again.result["changed"], again.result["skipped"]) == (0, 3_376)
    run(clerk, "airports.load", reverse=str(operation.pk))
    assert digest(without=HISTORY) == before


def test_a_bad_row_of_a_dataset_is_named_by_its_column(client: Client, clerk: Any) -> None:
    header = "iata,name,city,state,country,latitude,longitude\n"
    dataset = imported_dataset(client, f"{header}AAA,One,,,USA,1.5,2.5\nBBB,Two,,,,1.5,north\n".encode())
    operation = run(clerk, "airports.load", parameters={"dataset": dataset})
    assert [(row.code, row.column, row.raw) for row in operation.rejects.all()] == [
        ("bad_value", "country", "load-airports 1")
    ]
    assert set(stored()) == {"AAA"}


def test_a_dataset_without_the_columns_is_refused_when_it_is_read(client: Client, clerk: Any) -> None:
    dataset = imported_dataset(client, b"iata,name\nAAA,One\n")
    operation = run(clerk, "airports.load", parameters={"dataset": dataset})
    assert (operation.state, operation.error["code"]) == ("failed", "missing_columns")
    assert "has no column city, state, country, latitude, longitude; it has iata, name." in operation.error["message"]


def test_a_dataset_that_is_not_there_is_refused_at_once(client: Client) -> None:
    data = {"migration": "airports.load", "parameters": {"dataset": "0198f3c2-0000-7000-8000-000000000001"}}
    answer = client.post("/migrations/run", data, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_dataset")
