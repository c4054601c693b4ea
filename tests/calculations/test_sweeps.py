"""A grid of parameters: a child a point, a table that fills, and the points that failed among the others."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from calculations.sweeping import point_input, points
from lro.models import Operation
from lro.runtime import executor
from lro.testing import crash_after, run_due

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

BASE = {"option": {"spot": 100, "strike": 100, "volatility": 0.2, "maturity": 1}, "paths": 1000, "seed": 7}
GRID = {"option.strike": [90, 110], "option.volatility": [0.1, 0.2, 0.3]}


def test_each_point_is_the_calculation_that_one_would_have_started(result: Any) -> None:
    swept = result("sweep", base=BASE, grid=GRID)
    assert (swept["points"], swept["failed"]) == (6, 0)
    alone = result("monte-carlo", **point_input(BASE, {"option.strike": 110, "option.volatility": 0.3}))
    last = swept["table"][-1]
    assert (last["option.strike"], last["option.volatility"]) == (110, 0.3)
    assert last["price"] == alone["price"]


def test_the_table_fills_while_it_runs(client: Any, post: Any) -> None:
    identifier = post("sweep", base=BASE, grid=GRID).json()["id"]
    assert client.get(f"/calculations/{identifier}/table").json() == {"points": 6, "done": 0, "rows": []}
    executor.execute(identifier)
    child = Operation.objects.filter(parent_id=identifier).order_by("child_index")[2]
    executor.execute(child.pk)
    table = client.get(f"/calculations/{identifier}/table").json()
    assert (table["points"], table["done"], len(table["rows"])) == (6, 1, 6)
    assert [row["state"] for row in table["rows"]] == ["queued", "queued", "succeeded", "queued", "queued", "queued"]
    assert table["rows"][2]["price"] > 0
    run_due()
    assert client.get(f"/calculations/{identifier}/table").json()["done"] == 6


def test_the_whole_table_is_a_file(client: Any, compute: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calculations.sweeping._SHOWN", 5)
    operation = compute("sweep", base=BASE, grid={"option.strike": list(range(90, 99))})
    assert len(operation.result["table"]) == 5
    (artifact,) = client.get(f"/operations/{operation.pk}/artifacts/").json()["results"]
    text = b"".join(client.get(artifact["links"]["download"])).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["option.strike"] for row in rows] == [str(strike) for strike in range(90, 99)]
    assert {row["state"] for row in rows} == {"succeeded"}


def test_points_without_a_seed_share_the_one_that_was_drawn(compute: Any) -> None:
    operation = compute("sweep", base={k: v for k, v in BASE.items() if k != "seed"}, grid=GRID)
    seeds = {child.result["provenance"]["seed"] for child in operation.children.all()}
    assert seeds == {operation.result["provenance"]["seed"]}


def test_a_point_that_fails_is_a_row_of_the_table(result: Any, imported: Any) -> None:
    dataset = imported({"x": [1, 2, 3, 5], "y": [1, 3, 2, 4]}, {"x": "integer", "y": "integer"})
    base = {"dataset": dataset, "target": "y", "predictors": ["x"]}
    swept = result("sweep", calculation="regression", base=base, grid={"degree": [1, 2, 5]})
    assert swept["failed"] == 1
    assert [row["state"] for row in swept["table"]] == ["succeeded", "succeeded", "failed"]
    assert swept["table"][0]["x"] == pytest.approx(5.5 / 8.75)
    assert "6 coefficients need at least as many" in swept["table"][2]["error"]


def test_a_crash_makes_no_point_twice(compute: Any) -> None:
    with crash_after(checkpoints=1, times=2):
        operation = compute("sweep", base=BASE, grid=GRID)
    assert operation.children.count() == 6


def test_the_last_parameter_varies_fastest() -> None:
    assert list(points({"a": [1, 2], "b": [3, 4]})) == [
        {"a": 1, "b": 3},
        {"a": 1, "b": 4},
        {"a": 2, "b": 3},
        {"a": 2, "b": 4},
    ]
