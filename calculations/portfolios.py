"""What a portfolio may lose over a horizon, where the returns of its assets are correlated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .exact import Floats
from .random_draws import Draws


@dataclass(frozen=True)
class Portfolio:
    """`means` and `covariance` are of one period's returns, the horizon is in periods; weights are shares of `value`.

    Returns are `simple`, or `log`: then an asset grows by their exponential. Their tails are normal, or those of
    Student's t with `degrees_of_freedom`, scaled to the same covariance.
    """

    value: float
    weights: list[float]
    means: list[float]
    covariance: list[list[float]]
    horizon: float = 1.0
    returns: str = "simple"
    degrees_of_freedom: float | None = None
    _factor: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scale = self.horizon
        if self.degrees_of_freedom is not None:
            scale *= (self.degrees_of_freedom - 2) / self.degrees_of_freedom
        object.__setattr__(self, "_factor", np.linalg.cholesky(np.array(self.covariance)) * math.sqrt(scale))

    @property
    def dimensions(self) -> int:
        return len(self.weights)

    def losses(self, drawn: Draws, sign: float = 1.0) -> Floats:
        """In the currency of `value`, one a path."""
        weights = np.array(self.weights)
        drift = np.array(self.means) * self.horizon
        if self.returns == "simple":  # a weighted sum, so that no asset's own return is needed
            moved = _weighted(weights @ self._factor * sign, drawn.normals)
            return np.asarray(-self.value * (self._fattened(moved, drawn) + float(weights @ drift)))
        moved = (self._factor * sign) @ drawn.normals
        moved = self._fattened(moved, drawn) + drift[:, np.newaxis]
        return np.asarray(-self.value * _weighted(weights, np.expm1(moved, out=moved)))

    def _fattened(self, moved: Floats, drawn: Draws) -> Floats:
        """With the tails of Student's t, where they were asked for."""
        if drawn.chi_squared is None or self.degrees_of_freedom is None:
            return moved
        return np.asarray(moved / np.sqrt(drawn.chi_squared / self.degrees_of_freedom))


def _weighted(weights: Floats, rows: Floats) -> Floats:
    """Row by row, so that the digits do not depend on how a library splits a product among threads."""
    total: Floats = weights[0] * rows[0]
    for weight, row in zip(weights[1:], rows[1:], strict=True):
        total += weight * row
    return total
