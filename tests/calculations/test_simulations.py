"""Prices and risks beside their closed forms, and whether the stated errors are true."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy import stats

from calculations.checks import monte_carlo
from calculations.options import Option
from calculations.serializers import MonteCarloInput
from calculations.simulating import Simulation, simulation

OPTION = {"spot": 100, "strike": 105, "rate": 0.03, "volatility": 0.2, "maturity": 1}
PORTFOLIO = {
    "value": 1_000_000,
    "weights": [0.5, 0.3, 0.2],
    "means": [0.001, 0.0, 0.0005],
    "covariance": [[4e-4, 1e-4, 0], [1e-4, 3e-4, 0], [0, 0, 1e-4]],
    "horizon": 10,
}
SAMPLINGS = ["plain", "antithetic", "sobol"]


def set_up(seed: int = 1, **data: Any) -> Simulation:
    serializer = MonteCarloInput(data=data)
    serializer.is_valid(raise_exception=True)
    return simulation({**monte_carlo(dict(serializer.validated_data)), "seed": seed})


def answer(simulated: Simulation) -> dict[str, Any]:
    tally = simulated.empty()
    for block in range(simulated.blocks):
        simulated.add(tally, block)
    return simulated.answer(tally)


def share_within(values: list[dict[str, Any]], truth: float, interval: str = "confidence_interval") -> float:
    return sum(each[interval][0] <= truth <= each[interval][1] for each in values) / len(values)


@pytest.mark.parametrize(("kind", "price"), [("call", 10.450583572185565), ("put", 5.573526022256971)])
def test_the_closed_form_is_the_published_one(kind: str, price: float) -> None:
    """Hull's example: spot and strike 100, 5 % a year, volatility 20 %, a year."""
    option = Option(type=kind, kind="european", spot=100, strike=100, rate=0.05, volatility=0.2, maturity=1)
    assert option.closed_form == pytest.approx(price, rel=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampling", "kind"), [("plain", "put"), ("antithetic", "call"), ("sobol", "call"), ("sobol", "put")]
)
def test_prices_lie_within_their_stated_error_as_often_as_is_said(sampling: str, kind: str) -> None:
    """200 seeds: of intervals with 95 % confidence, 95 % hold Black and Scholes' price, give or take 3 deviations."""
    option = {**OPTION, "type": kind}
    found = [answer(set_up(seed, option=option, sampling=sampling, paths=16_384)) for seed in range(200)]
    truth = found[0]["closed_form"]
    assert 0.90 <= share_within(found, truth) <= 1.0
    errors = [(each["price"] - truth) / each["standard_error"] for each in found]
    assert abs(np.mean(errors)) < 4 / math.sqrt(200)
    assert np.mean([each["price"] for each in found]) == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize("sampling", ["antithetic", "sobol"])
def test_other_samplings_say_more_with_the_same_paths(sampling: str) -> None:
    plain, other = (answer(set_up(option=OPTION, sampling=each, paths=65_536)) for each in ("plain", sampling))
    assert other["standard_error"] < {"antithetic": 0.9, "sobol": 0.1}[sampling] * plain["standard_error"]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_asian_option_is_priced_by_how_far_its_geometric_twin_is_off(sampling: str) -> None:
    """Against a hundred times as many paths without the twin."""
    option = {**OPTION, "kind": "asian", "steps": 12}
    found = answer(set_up(option=option, sampling=sampling, paths=65_536))
    rng = np.random.default_rng(9)
    steps = rng.standard_normal((500_000, 12)) * 0.2 * math.sqrt(1 / 12) + (0.03 - 0.02) / 12
    mean = 100 * np.exp(steps.cumsum(axis=1)).mean(axis=1)
    paid = math.exp(-0.03) * np.maximum(mean - 105, 0)
    assert found["price"] == pytest.approx(paid.mean(), abs=4 * paid.std() / math.sqrt(len(paid)))
    assert found["standard_error"] < 0.002


def test_an_asian_option_of_one_date_is_a_european_one() -> None:
    found = answer(set_up(option={**OPTION, "kind": "asian", "steps": 1}, paths=4096))
    european = answer(set_up(option=OPTION, paths=4096))
    assert found["price"] == pytest.approx(european["closed_form"], rel=1e-12)


def _true_risk(level: float, freedom: float | None) -> tuple[float, float]:
    """Value at risk and expected shortfall of a weighted sum of normal, or of Student's, returns."""
    weights, covariance = np.array(PORTFOLIO["weights"]), np.array(PORTFOLIO["covariance"])
    mean = -1e6 * 10 * float(weights @ np.array(PORTFOLIO["means"]))
    deviation = 1e6 * math.sqrt(10 * weights @ covariance @ weights)
    if freedom is None:
        quantile = NormalDist().inv_cdf(level)
        return mean + deviation * quantile, mean + deviation * NormalDist().pdf(quantile) / (1 - level)
    quantile, scale = stats.t.ppf(level, freedom), deviation * math.sqrt((freedom - 2) / freedom)
    tail = stats.t.pdf(quantile, freedom) / (1 - level) * (freedom + quantile**2) / (freedom - 1)
    return mean + scale * quantile, mean + scale * tail


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampling", "freedom"), [("plain", 5.0), ("antithetic", None), ("antithetic", 5.0), ("sobol", None)]
)
def test_risks_lie_within_their_stated_error_as_often_as_is_said(sampling: str, freedom: float | None) -> None:
    """200 seeds: of intervals with 95 % confidence, 95 % hold the truth, give or take 3 deviations."""
    portfolio = {**PORTFOLIO, "degrees_of_freedom": freedom, "level": 0.975}
    value_at_risk, shortfall = _true_risk(0.975, freedom)
    found = [
        answer(set_up(seed, portfolio=portfolio, sampling=sampling, paths=32_768, block_paths=1024))
        for seed in range(200)
    ]
    assert share_within(found, value_at_risk) >= 0.9
    for each in found:
        each["its"] = [each["expected_shortfall"] + s * 2 * each["expected_shortfall_error"] for s in (-1, 1)]
    assert share_within(found, shortfall, "its") >= 0.9


def test_log_returns_lose_at_most_all() -> None:
    portfolio = {"value": 100, "weights": [1], "covariance": [[1.0]], "returns": "log", "level": 0.99}
    found = answer(set_up(portfolio=portfolio, paths=200_000))
    truth = 100 * (1 - math.exp(NormalDist().inv_cdf(0.01)))
    low, high = found["confidence_interval"]
    assert low - 0.05 < truth < high + 0.05
    assert found["expected_shortfall"] < 100


def test_the_histogram_counts_every_loss() -> None:
    found = answer(set_up(portfolio=PORTFOLIO, paths=50_000))
    histogram = found["histogram"]
    assert sum(histogram["counts"]) + histogram["below"] + histogram["above"] == found["paths"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("files", "checked")
class TestATarget:
    def test_ends_the_work_as_soon_as_it_is_reached(self, result: Callable[..., dict[str, Any]]) -> None:
        found = result("monte-carlo", option=OPTION, paths=50_000_000, block_paths=4096, target_error=0.02, seed=1)
        assert found["converged"]
        assert not found["stopped_early"]
        assert found["standard_error"] <= 0.02
        assert found["paths"] < 2 * (found["standard_error"] / 0.02) ** 2 * 470_000  # as plain sampling needs
        assert [point["paths"] for point in found["convergence"]] == sorted(
            {point["paths"] for point in found["convergence"]}
        )

    def test_that_is_out_of_reach_ends_with_all_paths(self, result: Callable[..., dict[str, Any]]) -> None:
        found = result("monte-carlo", option=OPTION, paths=100_000, target_error=1e-6)
        assert not found["converged"]
        assert found["paths"] >= 100_000

    def test_is_told_as_an_event(self, compute: Any, client: Any) -> None:
        operation = compute("monte-carlo", option=OPTION, target_error=0.5)
        kinds = [event["kind"] for event in client.get(f"/operations/{operation.pk}/events/").json()["results"]]
        assert [kind for kind in kinds if kind.startswith("calculations.")][-2:] == [
            "calculations.converged",
            "calculations.completed",
        ]
