"""Calculations on real workers: killed, they say the same; asked to end, they keep what they have."""

from __future__ import annotations

from typing import Any

import pytest

from calculations.kinds import calculation_of
from lro.models import Operation
from tests.end_to_end.stack import ALIAS, Stack
from tests.waiting import until

pytestmark = pytest.mark.slow

DATA = {
    "option": {"kind": "asian", "steps": 50, "spot": 100, "strike": 105, "volatility": 0.2, "maturity": 1},
    "paths": 1_500_000,
    "block_paths": 4096,
    "seed": 5,
}


def start(stack: Stack, **data: Any) -> str:
    return str(stack.client().post("/calculations/monte-carlo", json=DATA | data).json()["id"])


def computing(stack: Stack, identifier: str) -> str:
    """The operation that computes and has saved something: this one, or one of its children."""

    def found() -> str | None:
        rows = Operation.objects.using(ALIAS).filter(root_id=identifier, state="running")
        row = rows.filter(checkpoint__has_key="tally").first()
        return str(row.pk) if row else None

    return str(until(found, what="a block is saved"))


def answer_without_workers(operation: Operation) -> dict[str, Any]:
    calculation = calculation_of(operation.name, operation.input)
    tally = calculation.empty()
    for block in range(calculation.blocks):
        calculation.add(tally, block)
    return calculation.answer(tally)


def test_a_worker_that_is_killed_costs_time_and_no_digit(drained: Stack) -> None:
    results = []
    for shards in (1, 2):
        with drained.gate.slowing_down(0.05), drained.gate.holding_at(1):
            identifier = start(drained, shards=shards)
            victim = computing(drained, identifier)
            drained.kill_child(victim)
        ended = drained.await_end(identifier)
        assert ended.state == "succeeded", ended.error
        assert drained.operation(victim).attempt == 2
        results.append(ended.result)
    assert results[0] == results[1]
    assert results[0].items() >= answer_without_workers(ended).items()


@pytest.mark.parametrize("shards", [1, 2])
def test_a_calculation_is_ended_early_with_what_it_has(drained: Stack, shards: int) -> None:
    identifier = start(drained, paths=10**9, shards=shards)
    computing(drained, identifier)
    assert drained.client().post(f"/calculations/{identifier}/stop").status_code == 200
    ended = drained.await_end(identifier)
    assert ended.state == "succeeded", ended.error
    assert ended.result["stopped_early"] is True
    assert 4096 <= ended.result["paths"] < 10**9
    low, high = ended.result["confidence_interval"]
    assert low < ended.result["price"] < high
