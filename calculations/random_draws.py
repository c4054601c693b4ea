"""Standard normal numbers for a block of paths, by its number: plain, in antithetic pairs, or as a scrambled net."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaincinv, ndtri
from scipy.stats import qmc

from .exact import Floats
from .memory import ANTITHETIC, SOBOL, chunk_paths

#: Half of the distance of two values of a net, so that none is 0.
_HALF_CELL = 2.0**-31


class Draws(NamedTuple):
    """`normals` is dimensions × paths; `chi_squared`, one a path, where it was asked for."""

    normals: Floats
    chi_squared: Floats | None = None


def generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def draws(
    rng: np.random.Generator, sampling: str, dimensions: int, paths: int, degrees: float | None = None
) -> Iterator[Draws]:
    """All draws of a block, some paths at a time. Of antithetic ones, half: the others are their negatives."""
    if sampling == SOBOL:
        yield _net(rng, dimensions, paths, degrees)
        return
    if sampling == ANTITHETIC:
        paths //= 2
    step = chunk_paths(dimensions)
    for start in range(0, paths, step):
        count = min(step, paths - start)
        normals = rng.standard_normal((dimensions, count))
        yield Draws(normals, None if degrees is None else 2.0 * rng.standard_gamma(degrees / 2, count))


def _net(rng: np.random.Generator, dimensions: int, paths: int, degrees: float | None) -> Draws:
    """A net of 2**m points, scrambled anew for each block, so that blocks are independent and unbiased."""
    sobol: Any = qmc.Sobol(dimensions + (degrees is not None), scramble=True, rng=rng)
    points = sobol.random_base2(paths.bit_length() - 1).T + _HALF_CELL
    normals = ndtri(points[:dimensions])
    chi_squared = None if degrees is None else 2.0 * gammaincinv(degrees / 2, points[dimensions])
    return Draws(np.ascontiguousarray(normals), chi_squared)
