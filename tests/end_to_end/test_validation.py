"""A validation in real worker processes: polars after the fork, children side by side, and a kill in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.stack import Stack
from tests.waiting import until

pytestmark = pytest.mark.slow

ROWS = 450_000


@pytest.fixture
def dataset(drained: Stack, tmp_path: Path) -> str:
    path = tmp_path / "numbers.csv"
    path.write_text("id,name\n" + "".join(f"{n % 449_000},name {n % 1000}\n" for n in range(ROWS)))
    operation = drained.await_end(drained.upload(drained.client(), path)["id"])
    return str(operation.result["dataset"])


def test_a_validation_by_children_survives_the_kill_of_one_and_judges_exactly(drained: Stack, dataset: str) -> None:
    rules: list[dict[str, Any]] = [
        {"rule": "unique", "column": "id"},
        {"rule": "pattern", "column": "name", "pattern": "name [1-9][0-9]*"},
        *({"rule": "condition", "then": f"id % {n} >= 0 or length(name) > {n}"} for n in range(1, 40)),
    ]
    data = {"dataset": dataset, "rules": rules, "rows_per_child": 200_000}
    client = drained.client()
    with drained.gate.holding_at(1):
        identifier = client.post("/validations/run", json=data).json()["id"]

        def child() -> str | None:
            found = client.get(f"/operations/{identifier}/children/").json()["results"]
            return next((each["id"] for each in found if each["state"] == "running"), None)

        victim = until(child, what="a child is at work")
        drained.kill_child(victim)
    operation = drained.await_end(identifier)
    assert operation.state == "succeeded", operation.error
    assert drained.operation(victim).attempt == 2
    assert [each["failed"] for each in operation.result["outcomes"]] == [1000, 450] + [0] * 39
