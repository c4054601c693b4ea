"""A grid of parameters, each point of which is another calculation: its inputs, its table, its run."""

from __future__ import annotations

import copy
import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lro import Operation, OperationContext

#: So many rows of the table stand in the result too, not in the file alone.
_SHOWN = 100


def points(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """The last parameter varies fastest."""
    return (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


def point_input(base: dict[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the point's values, where a name with points leads into an object."""
    data = copy.deepcopy(base)
    for name, value in point.items():
        *path, last = name.split(".")
        place = data
        for step in path:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                place = {}
        place[last] = value
    return data


def row(point: Mapping[str, Any], child: Operation) -> dict[str, Any]:
    """A line of the table: the point, how its calculation stands, and the numbers of its result."""
    failure = (child.error or {}).get("message")
    return {**point, "operation": str(child.pk), "state": child.state, **_figures(child.result), "error": failure}


def table(operation: Operation) -> list[dict[str, Any]]:
    """As far as it is filled, in the order of the points."""
    children = operation.children.order_by("child_index")
    grid = operation.input["grid"]
    return [row(point, child) for point, child in zip(points(grid), children, strict=False)]


def _figures(result: Any) -> dict[str, Any]:
    """What is one number, and the coefficients of a regression by their term."""
    if not result:
        return {}
    own = {name: value for name, value in result.items() if type(value) in (int, float)}
    return own | {each["term"]: each["value"] for each in result.get("coefficients", [])}


class SweepRun:
    def __init__(
        self, op: OperationContext, *, calculation: str, base: dict[str, Any], grid: dict[str, list[Any]], points: int
    ) -> None:
        self.op, self.calculation, self.base, self.grid, self.count = op, calculation, base, grid, points

    def run(self) -> dict[str, Any]:
        inputs = (point_input(self.base, point) for point in points(self.grid))
        keys = (f"point-{index}" for index in range(self.count))
        self.op.spawn(f"calculations.{self.calculation}", inputs, keys=keys)
        children = self.op.gather(on_failure="collect")
        rows = [row(point, child) for point, child in zip(points(self.grid), children, strict=True)]
        self._keep(rows)
        failed = sum(child.state != "succeeded" for child in children)
        result = {"points": self.count, "failed": failed, "table": [_plain(each) for each in rows[:_SHOWN]]}
        provenance = {"calculation": self.calculation, "seed": self.base.get("seed")}
        self.op.event("calculations.completed", {"stopped_early": False, "provenance": provenance})
        return {**result, "provenance": provenance}

    def _keep(self, rows: list[dict[str, Any]]) -> None:
        header = list(dict.fromkeys(name for each in rows for name in each if name != "operation"))
        path = self.op.tempfile(".csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, header, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        self.op.artifact(path, "table.csv", content_type="text/csv")


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "operation"}
