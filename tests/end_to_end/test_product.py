"""One product: what was uploaded is validated, migrated and computed on, by apps that know nothing of each other."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import pytest
import vega_datasets

from lro import datasets
from migrations_app.models import Airport
from tests.end_to_end.stack import ALIAS, Stack

pytestmark = pytest.mark.slow

AIRPORTS = Path(vega_datasets.__file__).parent / "_data" / "airports.csv"


@pytest.fixture(scope="module")
def truth() -> list[dict[str, str]]:
    """The file as Python's own reader reads it."""
    with AIRPORTS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def staff(drained: Stack) -> httpx.Client:
    return drained.client("staff")


def done(stack: Stack, client: httpx.Client, name: str, **data: Any) -> dict[str, Any]:
    """The result of the operation `name`, run by the worker."""
    answer = client.post(f"/{name}", json=data)
    assert answer.status_code == 200, answer.text
    operation = stack.await_end(answer.json()["id"])
    assert operation.state == "succeeded", operation.error
    return dict(operation.result)


@pytest.fixture
def dataset(drained: Stack, staff: httpx.Client) -> str:
    operation = drained.await_end(drained.upload(staff, AIRPORTS)["id"])
    return str(operation.result["dataset"])


def test_a_file_is_validated_migrated_and_computed_on(
    drained: Stack, staff: httpx.Client, dataset: str, truth: list[dict[str, str]]
) -> None:
    rules = [
        {"rule": "unique", "column": "iata"},
        {"rule": "between", "column": "latitude", "minimum": 0, "maximum": 60},
        {"rule": "enum", "column": "country", "values": ["USA"]},
    ]
    report = done(drained, staff, "validations/run", dataset=dataset, rules=rules)
    outside = sum(not 0 <= float(row["latitude"]) <= 60 for row in truth)
    abroad = sum(row["country"] != "USA" for row in truth)
    assert [outcome["failed"] for outcome in report["outcomes"]] == [0, outside, abroad]

    asked = {"migration": "airports.load", "parameters": {"dataset": dataset}}
    airports = Airport.objects.using(ALIAS)
    tried = done(drained, staff, "migrations/run", **asked, dry_run=True)
    assert (tried["processed"], airports.count()) == (len(truth), 0)
    done(drained, staff, "migrations/run", **asked)
    found = airports.order_by("iata").values_list("iata", "name", "latitude")
    assert list(found) == sorted((row["iata"], row["name"], float(row["latitude"])) for row in truth)

    described = done(drained, staff, "calculations/describe", dataset=dataset, columns=["latitude"])
    (column,) = described["columns"]
    assert described["rows"] == len(truth)
    assert math.isclose(column["mean"], fmean(float(row["latitude"]) for row in truth), rel_tol=1e-15)

    worked = staff.get("/operations/", params={"tag": datasets.tag(dataset)}).json()["results"]
    assert [row["name"] for row in worked] == [
        "calculations.describe",
        "migrations.run",
        "migrations.run",
        "validations.run",
    ]
    assert staff.delete(f"/uploads/datasets/{dataset}").status_code == 204


def test_what_is_wrong_with_a_request_is_said_at_once_by_each_module(staff: httpx.Client, dataset: str) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "validations/run": {"dataset": dataset, "rules": [{"rule": "required", "column": "latitud"}]},
        "calculations/describe": {"dataset": dataset, "columns": ["latitud"]},
        "uploads/publish": {"dataset": dataset, "table": "Airports!"},
        "migrations/run": {"migration": "airports.lod"},
    }
    answers = {name: staff.post(f"/{name}", json=data) for name, data in wrong.items()}
    assert {name: answer.status_code // 100 for name, answer in answers.items()} == dict.fromkeys(wrong, 4)
    for name in ("validations/run", "calculations/describe"):
        problem = answers[name].json()
        assert problem["code"] == "unknown_column"
        assert "latitude" in problem["detail"]
