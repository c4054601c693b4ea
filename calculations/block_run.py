"""One calculation from its first block to its result: round after round, by itself or by children."""

from __future__ import annotations

import csv
import itertools
from typing import Any

from lro import OperationContext

from .block_loop import BlockLoop, tell
from .calculation import Calculation, Table

CHILD = "calculations.blocks"
#: The tally, how many blocks are in it, where the round ends, and the convergence so far.
Standing = tuple[Any, int, int, list[dict[str, Any]]]


class Alone:
    """All blocks in this process; goes on from the checkpoint, within the round in which that was."""

    def __init__(self, op: OperationContext, calculation: Calculation) -> None:
        self.op, self.calculation = op, calculation
        self._loop = BlockLoop(op, calculation, str(op.id), 0, calculation.blocks)

    @property
    def is_ended_early(self) -> bool:
        return self._loop.is_ended_early

    def resume(self) -> Standing:
        cursor = self.op.cursor
        if cursor is None:
            return beginning(self.calculation)
        return self.calculation.read(cursor["tally"]), cursor["done"], cursor["end"], cursor["convergence"]

    def compute(self, tally: Any, start: int, end: int, convergence: list[dict[str, Any]]) -> None:
        self._loop.compute(tally, start, end, {"end": end, "convergence": convergence})


class Family:
    """Each round dealt out to children, whose tallies are added up; `run` comes here again when they have ended."""

    def __init__(self, op: OperationContext, calculation: Calculation, shards: int, name: str, data: Any) -> None:
        self.op, self.calculation, self.shards = op, calculation, shards
        self._input = {"calculation": name, "data": data, "whole": str(op.id)}
        self.is_ended_early = False

    def resume(self) -> Standing:
        return beginning(self.calculation)

    def compute(self, tally: Any, start: int, end: int, convergence: list[dict[str, Any]]) -> None:
        spans = _spans(start, end, self.shards)
        inputs = [{**self._input, "first": first, "last": last} for first, last in spans]
        self.op.spawn(CHILD, inputs, keys=[f"{first}-{last}" for first, last in spans])
        results: dict[int, Any] = {child.input["first"]: child.result for child in self.op.gather()}
        for first, _ in spans:
            tally.merge(self.calculation.read(results[first]["tally"]))
            self.is_ended_early |= results[first]["stopped_early"]
        if end > (self.op.cursor or {"told": 0})["told"]:
            tell(self.op, self.calculation, tally, end)
            self.op.checkpoint({"told": end})


class BlockRun:
    def __init__(
        self, op: OperationContext, calculation: Calculation, name: str, data: dict[str, Any], shards: int
    ) -> None:
        self.op, self.calculation = op, calculation
        calculation.load(op.check)
        is_split = shards > 1 and calculation.blocks > 1
        self.worker: Alone | Family = (
            Family(op, calculation, shards, name, data) if is_split else Alone(op, calculation)
        )

    def run(self) -> dict[str, Any]:
        calculation, worker = self.calculation, self.worker
        tally, done, end, convergence = worker.resume()
        is_precise = False
        while end:
            worker.compute(tally, done, end, convergence)
            convergence = [*convergence, *_filled(calculation.point(tally))]
            is_precise = calculation.is_precise(tally)
            if is_precise or worker.is_ended_early or end == calculation.blocks:
                break
            done, end = end, calculation.next_round(tally, end)
        return self._finish(tally, convergence, is_precise)

    def _finish(self, tally: Any, convergence: list[dict[str, Any]], is_precise: bool) -> dict[str, Any]:
        calculation = self.calculation
        if is_precise:
            self.op.event("calculations.converged", calculation.point(tally))
        for table in calculation.tables(tally):
            self._keep(table)
        result = {
            **calculation.answer(tally),
            **({"convergence": convergence} if convergence else {}),
            "converged": is_precise,
            "stopped_early": self.worker.is_ended_early and not is_precise,
            "provenance": calculation.provenance(),
        }
        self.op.event("calculations.completed", {name: result[name] for name in ("stopped_early", "provenance")})
        return result

    def _keep(self, table: Table) -> None:
        path = self.op.tempfile(".csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table.header)
            writer.writerows(table.rows)
        self.op.artifact(path, table.name, content_type="text/csv")


def beginning(calculation: Calculation) -> Standing:
    tally = calculation.empty()
    return tally, 0, calculation.next_round(tally, 0), []


def run_span(op: OperationContext, calculation: Calculation, first: int, last: int, whole: str) -> dict[str, Any]:
    """A child's share: its blocks' tally."""
    calculation.load(op.check)
    cursor = op.cursor or {"done": first}
    tally = calculation.read(cursor["tally"]) if "tally" in cursor else calculation.empty()
    loop = BlockLoop(op, calculation, whole, first, last)
    done = loop.compute(tally, cursor["done"], last, {})
    return {"done": done - first, "stopped_early": loop.is_ended_early and done < last, "tally": tally.to_json()}


def _spans(start: int, end: int, shards: int) -> list[tuple[int, int]]:
    """As equal shares as there can be, none empty."""
    count = min(shards, end - start)
    borders = [start + (end - start) * index // count for index in range(count + 1)]
    return list(itertools.pairwise(borders))


def _filled(point: dict[str, Any]) -> list[dict[str, Any]]:
    return [point] if point else []
