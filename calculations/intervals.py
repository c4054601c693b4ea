"""Confidence intervals from resampled values: percentile, basic, and bias-corrected and accelerated (Efron 1987)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from .exact import Floats


def intervals(observed: float, resampled: Floats, without_each: Floats, confidence: float) -> dict[str, Any]:
    """`without_each` are the statistics of the data less one row; `bca` is None where it is not defined."""
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = (float(value) for value in np.quantile(resampled, tails))
    return {
        "percentile": [low, high],
        "basic": [2 * observed - high, 2 * observed - low],
        "bca": _accelerated(observed, resampled, without_each, tails),
    }


def _accelerated(observed: float, resampled: Floats, without_each: Floats, tails: Floats) -> list[float] | None:
    share = ((resampled < observed).mean() + (resampled <= observed).mean()) / 2
    if not 0 < share < 1 or not np.isfinite(without_each).all():
        return None
    bias, slope = ndtri(share), acceleration(without_each)
    shifted = bias + ndtri(tails)
    adjusted = ndtr(bias + shifted / (1 - slope * shifted))
    return [float(value) for value in np.quantile(resampled, adjusted)]


def acceleration(without_each: Floats) -> float:
    """How fast the standard error changes with the value, from the skewness of leaving rows out."""
    distances = without_each.mean() - without_each
    scale = float((distances**2).sum())
    return float((distances**3).sum()) / (6 * scale**1.5) if scale > 0 else 0.0
