"""A call or put on one asset that follows a geometric Brownian motion: what a path pays, and the closed forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from .exact import Floats


@dataclass(frozen=True)
class Option:
    """Rates are continuous and a year; `steps` is how many equal dates an Asian option averages over."""

    type: str
    kind: str
    spot: float
    strike: float
    rate: float
    volatility: float
    maturity: float
    dividend: float = 0.0
    steps: int = 1

    @property
    def dimensions(self) -> int:
        return self.steps if self.kind == "asian" else 1

    @property
    def discount(self) -> float:
        return math.exp(-self.rate * self.maturity)

    @cached_property
    def reference(self) -> float:
        """The price, or where there is no formula, that of the geometric mean: what paths are compared with."""
        return self._geometric() if self.kind == "asian" else self._black_scholes()

    @property
    def closed_form(self) -> float | None:
        return self._black_scholes() if self.kind == "european" else None

    @property
    def highest(self) -> float:
        """A payoff that few paths exceed."""
        spread = self.volatility * math.sqrt(self.maturity)
        if self.type == "put":
            return self.strike
        return max(self.spot * math.exp(self._drift * self.maturity + 3 * spread) - self.strike, 0.1 * self.strike)

    def payoffs(self, normals: Floats) -> list[Floats]:
        """Discounted, less the reference; of an Asian option also the geometric mean's. Uses `normals` up."""
        if self.kind == "european":
            final = self._grow(normals[0], self.maturity)
            return [self._pay(final)]
        step = self.maturity / self.steps
        np.cumsum(normals, axis=0, out=normals)
        normals *= self.volatility * math.sqrt(step)
        normals += (self._drift * step * np.arange(1, self.steps + 1))[:, np.newaxis]
        geometric = self.spot * np.exp(normals.mean(axis=0))
        np.exp(normals, out=normals)
        return [self._pay(self.spot * normals.mean(axis=0)), self._pay(geometric)]

    @property
    def _drift(self) -> float:
        return self.rate - self.dividend - self.volatility**2 / 2

    def _grow(self, normals: Floats, years: float) -> Floats:
        normals *= self.volatility * math.sqrt(years)
        normals += self._drift * years + math.log(self.spot)
        return np.exp(normals, out=normals)

    def _pay(self, prices: Floats) -> Floats:
        if self.type == "call":
            prices -= self.strike
        else:
            np.subtract(self.strike, prices, out=prices)
        np.maximum(prices, 0.0, out=prices)
        prices *= self.discount
        prices -= self.reference
        return prices

    def _black_scholes(self) -> float:
        return self._lognormal(
            math.log(self.spot) + self._drift * self.maturity, self.volatility * math.sqrt(self.maturity)
        )

    def _geometric(self) -> float:
        """Kemna and Vorst (1990): the mean of the logarithms is normal too."""
        n = self.steps
        mean = math.log(self.spot) + self._drift * self.maturity * (n + 1) / (2 * n)
        return self._lognormal(mean, self.volatility * math.sqrt(self.maturity * (n + 1) * (2 * n + 1) / (6 * n * n)))

    def _lognormal(self, mean: float, deviation: float) -> float:
        """The price of the payoff on what has a normal logarithm."""
        sign = 1.0 if self.type == "call" else -1.0
        d2 = (mean - math.log(self.strike)) / deviation
        forward = math.exp(mean + deviation**2 / 2)
        paid = forward * float(ndtr(sign * (d2 + deviation))) - self.strike * float(ndtr(sign * d2))
        return self.discount * sign * paid
