"""Monte Carlo in blocks of paths, each with its own random numbers: an option's price, a portfolio's risk."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy
from scipy.special import stdtrit

from .calculation import Calculation, not_finite
from .counts import BinCounts
from .exact import ExactProducts, Floats
from .memory import ANTITHETIC, SOBOL
from .options import Option
from .portfolios import Portfolio
from .random_draws import Draws, draws, generator
from .samples import Sample, known

#: Paths of a block whose payoffs the histogram of an option shows: all of them would cost a fifth of the time.
_SHOWN = 4096
_FINE_BINS = 4096
_COARSE_BINS = 64
_OPTION_BINS = 40
_PILOT_PATHS = 2**16


class Simulation(Calculation):
    """An observation is a path, a pair of antithetic ones, or the mean of a block that is a scrambled net."""

    unit = "paths"
    observed: int

    def __init__(self, setup: dict[str, Any]) -> None:
        self.seed: int = setup["seed"]
        self.sampling: str = setup["sampling"]
        self.block_paths: int = setup["block_paths"]
        self.blocks = setup["blocks"]
        self.total = self.blocks * self.block_paths
        self.confidence: float = setup["confidence"]
        self.target_error: float | None = setup.get("target_error")

    def bins(self) -> BinCounts:
        raise NotImplementedError

    def empty(self) -> Sample:
        return Sample(ExactProducts(1 + self.observed), self.bins())

    def read(self, data: Any) -> Sample:
        return Sample(ExactProducts.from_json(1 + self.observed, data["sums"]), self.bins().read(data["histogram"]))

    def add(self, tally: Sample, block: int) -> None:
        size = 1 + self.observed
        sums = np.zeros((size, size))
        for chunk in self.observations(tally, block):
            rows = np.vstack([np.ones(chunk[0].size), *chunk]) if size > 2 else None
            sums += np.einsum("in,jn->ij", rows, rows) if rows is not None else _moments(chunk[0])
        if not np.isfinite(sums).all():
            raise not_finite(block, "what its paths come to")
        if self.sampling == SOBOL:
            sums = np.outer(sums[0], sums[0]) / sums[0, 0] ** 2
        tally.sums.add_sums(sums[np.triu_indices(size)].tolist())

    def observations(self, tally: Sample, block: int) -> Iterator[list[Floats]]:
        raise NotImplementedError

    def error(self, tally: Sample) -> float:
        raise NotImplementedError

    def paths(self, tally: Sample) -> int:
        each = {ANTITHETIC: 2, SOBOL: self.block_paths}
        return tally.count * each.get(self.sampling, 1)

    def next_round(self, tally: Sample, done: int) -> int:
        """With a target, as many as it should take by what is known, and a little more."""
        if self.target_error is None or done == 0 or not math.isfinite(error := self.error(tally)):
            return super().next_round(tally, done)
        wanted = math.ceil(1.1 * done * (error / self.target_error) ** 2)
        return min(self.blocks, max(done + self.first_round, min(wanted, 8 * done)))

    def is_precise(self, tally: Sample) -> bool:
        return self.target_error is not None and self.error(tally) <= self.target_error

    def interval(self, tally: Sample, value: float, error: float) -> list[float]:
        """Of the asked confidence; with few observations, as of few nets, a wider one."""
        tails = 1 - (1 - self.confidence) / 2
        width = float(stdtrit(max(1, tally.count - 1), tails)) * error
        return [value - width, value + width]

    def provenance(self) -> dict[str, Any]:
        return {"seed": self.seed, "sampling": self.sampling, "block_paths": self.block_paths, "versions": versions()}


class OptionPricing(Simulation):
    def __init__(self, setup: dict[str, Any]) -> None:
        super().__init__(setup)
        self.option = Option(**setup["option"])
        self.observed = 2 if self.option.kind == "asian" else 1

    def bins(self) -> BinCounts:
        return BinCounts(0.0, self.option.highest * self.option.discount, _OPTION_BINS)

    def observations(self, tally: Sample, block: int) -> Iterator[list[Floats]]:
        shown = False
        for drawn in draws(generator(self.seed, block), self.sampling, self.option.dimensions, self.block_paths):
            mirrored = -drawn.normals if self.sampling == ANTITHETIC else None
            payoffs = self.option.payoffs(drawn.normals)
            if not shown:
                tally.histogram.add(payoffs[0][:_SHOWN] + self.option.reference)
                shown = True
            if mirrored is not None:
                payoffs = [(one + other) / 2 for one, other in zip(payoffs, self.option.payoffs(mirrored), strict=True)]
            yield payoffs

    def price(self, tally: Sample) -> tuple[float, float]:
        """With its standard error; an Asian option's is corrected by how far the geometric mean's is off."""
        reference = self.option.reference
        if self.observed == 1:
            return reference + tally.mean(1), tally.standard_error(1)
        variance = tally.covariance(2, 2)
        slope = tally.covariance(1, 2) / variance if variance > 0 else 0.0
        left = max(0.0, tally.covariance(1, 1) - slope * tally.covariance(1, 2))
        return reference + tally.mean(1) - slope * tally.mean(2), math.sqrt(left / tally.count)

    def error(self, tally: Sample) -> float:
        return self.price(tally)[1] if tally.count > 1 else math.inf

    def point(self, tally: Sample) -> dict[str, Any]:
        price, error = self.price(tally)
        return {"paths": self.paths(tally), "price": price, "standard_error": known(error)}

    def answer(self, tally: Sample) -> dict[str, Any]:
        price, error = self.price(tally)
        return {
            **self.point(tally),
            "confidence_interval": known(self.interval(tally, price, error)),
            "confidence": self.confidence,
            "closed_form": self.option.closed_form,
            "histogram": tally.histogram.coarse(_OPTION_BINS),
        }


class PortfolioRisk(Simulation):
    """Value at risk from a fine histogram, expected shortfall by Rockafellar and Uryasev's formula.

    The formula holds near its minimum at the value at risk, so its parts are summed exactly at a threshold close to it,
    found by a pilot of the same seed; what lies between is taken from the histogram.
    """

    observed = 3

    def __init__(self, setup: dict[str, Any]) -> None:
        super().__init__(setup)
        self.portfolio = Portfolio(**setup["portfolio"])
        self.level: float = setup["level"]
        self.threshold, self.low, self.high = self._pilot()

    def _pilot(self) -> tuple[float, float, float]:
        rng = generator(self.seed, 0, 1)
        drawn = draws(rng, "plain", self.portfolio.dimensions, _PILOT_PATHS, self.portfolio.degrees_of_freedom)
        losses = np.concatenate([self.portfolio.losses(each) for each in drawn])
        below, middle, above, threshold = np.quantile(losses, [0.1587, 0.5, 0.8413, self.level])
        spread = max(above - below, 1e-9 * self.portfolio.value) / 2
        high = max(middle + 10 * spread, middle + 3 * (threshold - middle))
        return float(threshold), float(middle - 10 * spread), float(high)

    def bins(self) -> BinCounts:
        return BinCounts(self.low, self.high, _FINE_BINS)

    def observations(self, tally: Sample, block: int) -> Iterator[list[Floats]]:
        rng, portfolio = generator(self.seed, block), self.portfolio
        freedom = portfolio.degrees_of_freedom
        for drawn in draws(rng, self.sampling, portfolio.dimensions, self.block_paths, freedom):
            observed = self._observe(tally, portfolio.losses(drawn))
            if self.sampling == ANTITHETIC:
                other = self._observe(tally, portfolio.losses(_mirrored(drawn)))
                observed = [(one + its) / 2 for one, its in zip(observed, other, strict=True)]
            yield observed

    def _observe(self, tally: Sample, losses: Floats) -> list[Floats]:
        tally.histogram.add(losses)
        excess = np.maximum(losses - self.threshold, 0.0)
        return [losses, (excess > 0).astype(np.float64), excess]

    def error(self, tally: Sample) -> float:
        """Of the value at risk."""
        return self._value_at_risk(tally)[1] if tally.count > 1 else math.inf

    def _value_at_risk(self, tally: Sample) -> tuple[float, float]:
        above, edges = tally.histogram.share_above(), tally.histogram.edges()
        place = int(np.searchsorted(-above, -(1 - self.level)))
        if not 0 < place < len(edges):
            return math.nan, math.inf
        step = above[place - 1] - above[place]
        value = float(edges[place] - (1 - self.level - above[place]) / step * tally.histogram.width)
        around = max(8, int(0.02 * _FINE_BINS / 20)) * 2
        low, high = max(0, place - around), min(len(edges) - 1, place + around)
        density = (above[low] - above[high]) / (edges[high] - edges[low])
        return value, tally.standard_error(2) / float(density)

    def _expected_shortfall(self, tally: Sample, value_at_risk: float) -> tuple[float, float]:
        above, edges = tally.histogram.share_above(), tally.histogram.edges()
        low, high = sorted((value_at_risk, self.threshold))
        points = np.concatenate([[low], edges[(edges > low) & (edges < high)], [high]])
        between = float(np.trapezoid(np.interp(points, edges, above), points))
        excess = tally.mean(3) + (between if value_at_risk < self.threshold else -between)
        return value_at_risk + excess / (1 - self.level), tally.standard_error(3) / (1 - self.level)

    def point(self, tally: Sample) -> dict[str, Any]:
        value, error = self._value_at_risk(tally)
        return {"paths": self.paths(tally), "value_at_risk": known(value), "standard_error": known(error)}

    def answer(self, tally: Sample) -> dict[str, Any]:
        value, error = self._value_at_risk(tally)
        shortfall, its_error = self._expected_shortfall(tally, value)
        mean = tally.mean(1)
        return {
            **self.point(tally),
            "confidence_interval": known(self.interval(tally, value, error)),
            "confidence": self.confidence,
            "level": self.level,
            "expected_shortfall": known(shortfall),
            "expected_shortfall_error": known(its_error),
            "mean_loss": mean,
            "mean_loss_error": known(tally.standard_error(1)),
            "resolution": tally.histogram.width,
            "histogram": tally.histogram.coarse(_COARSE_BINS),
        }


def simulation(setup: dict[str, Any]) -> Simulation:
    return OptionPricing(setup) if "option" in setup else PortfolioRisk(setup)


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}


def _moments(values: Floats) -> Floats:
    total = float(values.sum())
    return np.array([[values.size, total], [total, np.einsum("i,i->", values, values)]])


def _mirrored(drawn: Draws) -> Draws:
    return Draws(-drawn.normals, drawn.chi_squared)
