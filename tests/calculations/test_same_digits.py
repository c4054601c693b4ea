"""One seed, one answer: however the work is dealt out, killed, paused, resumed, or computed out of order."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from calculations.kinds import calculation_of
from lro.models import Event, Operation
from lro.runtime import control
from lro.testing import crash_after, duplicate, pause_after, run_due

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

Result = Callable[..., dict[str, Any]]
OPTION = {"spot": 100, "strike": 105, "rate": 0.03, "volatility": 0.2, "maturity": 1}
PORTFOLIO = {
    "value": 1_000_000,
    "weights": [0.5, 0.3, 0.2],
    "covariance": [[4e-4, 1e-4, 0], [1e-4, 3e-4, 0], [0, 0, 1e-4]],
    "returns": "log",
    "degrees_of_freedom": 5,
}
SIMULATIONS: dict[str, dict[str, Any]] = {
    "plain": {"option": OPTION},
    "antithetic": {"option": {**OPTION, "kind": "asian"}, "sampling": "antithetic"},
    "sobol": {"portfolio": PORTFOLIO, "sampling": "sobol"},
    "to a target": {"option": OPTION, "target_error": 0.08},
}
_SIZES = {"paths": 20 * 1024, "block_paths": 1024, "seed": 20_261_126}


@pytest.fixture
def at_each_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint and a partial result after each block."""
    monkeypatch.setattr("calculations.block_loop.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("calculations.block_loop.TELL_SECONDS", 0.0)
    monkeypatch.setattr("calculations.pace._SHARE", float("inf"))


@pytest.fixture
def table(imported: Callable[..., str]) -> str:
    """A dataset of several parts, with gaps."""
    rng = random.Random(1)
    x = [round(rng.gauss(10, 3), 3) if rng.random() > 0.02 else None for _ in range(3000)]
    y = [round(rng.lognormvariate(0, 1), 4) for _ in x]
    return imported(
        {"x": x, "y": y, "group": rng.choices("abc", k=len(x))}, {"x": "number", "y": "number"}, block_bytes=6_000
    )


def asked(kind: str, table: str) -> dict[str, Any]:
    return {
        "bootstrap": {"column": "x", "statistic": "correlation", "other": "y", "resamples": 3_000, "seed": 3},
        "describe": {"group_by": "group", "correlation": True},
        "regression": {"target": "y", "predictors": ["x"], "degree": 3},
    }[kind] | {"dataset": table}


@pytest.mark.parametrize("data", SIMULATIONS.values(), ids=list(SIMULATIONS))
@pytest.mark.usefixtures("at_each_block")
def test_a_simulation_says_the_same_with_1_2_4_or_8_shards_with_and_without_kills(
    result: Result, data: dict[str, Any]
) -> None:
    whole = result("monte-carlo", **data, **_SIZES)
    for shards in (2, 8):
        assert result("monte-carlo", **data, **_SIZES, shards=shards) == whole
    with crash_after(checkpoints=3, times=3), duplicate():
        assert result("monte-carlo", **data, **_SIZES) == whole
    with crash_after(checkpoints=1, times=9):
        assert result("monte-carlo", **data, **_SIZES, shards=4) == whole


@pytest.mark.parametrize("kind", ["bootstrap", "describe", "regression"])
@pytest.mark.usefixtures("at_each_block")
def test_so_does_a_computation_on_a_dataset(result: Result, table: str, kind: str) -> None:
    whole = result(kind, **asked(kind, table))
    for shards in (2, 8):
        assert result(kind, **asked(kind, table), shards=shards) == whole
    with crash_after(checkpoints=2, times=3):
        assert result(kind, **asked(kind, table)) == whole


@pytest.mark.usefixtures("at_each_block")
def test_a_kill_after_each_block_in_turn_changes_nothing(result: Result) -> None:
    sizes = {**_SIZES, "paths": 8 * 1024}
    whole = result("monte-carlo", **SIMULATIONS["to a target"], **sizes)
    for block in range(1, 8):
        with crash_after(checkpoints=block):
            assert result("monte-carlo", **SIMULATIONS["to a target"], **sizes) == whole


@pytest.mark.usefixtures("at_each_block")
def test_a_pause_changes_nothing(result: Result, post: Any) -> None:
    whole = result("monte-carlo", **SIMULATIONS["plain"], **_SIZES)
    with pause_after(checkpoints=5):
        identifier = post("monte-carlo", **SIMULATIONS["plain"], **_SIZES).json()["id"]
        run_due()
    assert Operation.objects.get(pk=identifier).state == "paused"
    control.act("resume", Operation.objects.get(pk=identifier).pk, "alice")
    run_due()
    assert Operation.objects.get(pk=identifier).result == whole


@pytest.mark.parametrize("kind", ["monte-carlo", "describe"])
def test_blocks_may_be_computed_in_any_order(post: Any, table: str, kind: str) -> None:
    data = SIMULATIONS["sobol"] | _SIZES if kind == "monte-carlo" else asked(kind, table)
    operation = Operation.objects.get(pk=post(kind, **data).json()["id"])
    calculation = calculation_of(operation.name, operation.input)
    answers = []
    for seed in range(3):
        order = list(range(calculation.blocks))
        random.Random(seed).shuffle(order)
        halves = [calculation.empty(), calculation.empty()]
        for place, block in enumerate(order):
            calculation.add(halves[place % 2], block)
        halves[seed % 2].merge(halves[1 - seed % 2])
        answers.append(calculation.answer(halves[seed % 2]))
    assert answers[0] == answers[1] == answers[2]
    run_due()


@pytest.mark.usefixtures("at_each_block")
def test_a_tally_has_one_size_however_many_blocks_are_in_it(result: Result, post: Any) -> None:
    for paths in (30 * 64, 240 * 64):
        data = {**SIMULATIONS["plain"], "paths": paths, "block_paths": 64, "seed": 1}
        post("monte-carlo", **data)
        run_due()
    few, many = Operation.objects.order_by("pk").values_list("checkpoint", flat=True)
    assert len(str(many["tally"])) < 1.3 * len(str(few["tally"]))
    sizes = [len(str(event.data)) for event in Event.objects.filter(kind="calculations.partial")]
    assert max(sizes) < 1.3 * min(sizes)


def test_a_repeated_request_without_a_seed_finds_the_first(client: Any) -> None:
    """Though another seed was drawn for the second."""
    option = {"option": OPTION, "paths": 1000}
    for kind, data in (("monte-carlo", option), ("sweep", {"base": option, "grid": {"option.strike": [90, 100]}})):
        headers = {"Idempotency-Key": f'"{kind}"'}
        first, second = (
            client.post(f"/calculations/{kind}", data, content_type="application/json", headers=headers)
            for _ in range(2)
        )
        assert second.status_code == 200, second.content
        assert first.json()["id"] == second.json()["id"]
    run_due()


def test_who_gives_no_seed_is_told_the_one_that_was_drawn(result: Result) -> None:
    first = result("monte-carlo", option=OPTION, paths=10_000)
    second = result("monte-carlo", option=OPTION, paths=10_000)
    assert first["price"] != second["price"]
    assert result("monte-carlo", option=OPTION, paths=10_000, seed=first["provenance"]["seed"]) == first
