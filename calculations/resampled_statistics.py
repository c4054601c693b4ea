"""The statistics that are resampled: of the data, of resamples by their row numbers, and of the data less one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .exact import Floats

Places = NDArray[np.integer[Any]]


class Statistic(NamedTuple):
    """`of` takes columns of numbers, or tables of which each line is a resample."""

    of: Callable[..., Floats]
    without_each: Callable[..., Floats]


def statistic(name: str, share: float) -> Statistic:
    return {
        "mean": Statistic(_mean, _mean_without),
        "std": Statistic(_std, _std_without),
        "median": _quantile(0.5),
        "quantile": _quantile(share),
        "correlation": Statistic(_correlation, _correlation_without),
        "difference_of_means": Statistic(_difference, _difference_without),
    }[name]


def _mean(values: Floats) -> Floats:
    return np.asarray(values.mean(axis=-1))


def _mean_without(values: Floats) -> Floats:
    return np.asarray((values.sum() - values) / (values.size - 1))


def _std(values: Floats) -> Floats:
    return np.asarray(values.std(axis=-1, ddof=1))


def _std_without(values: Floats) -> Floats:
    """From the sums less one row, of distances from the mean."""
    n, centred = values.size, values - values.mean()
    total, squares = centred.sum() - centred, (centred**2).sum() - centred**2
    return np.asarray(np.sqrt(np.maximum(0.0, squares - total**2 / (n - 1)) / max(1, n - 2)))


def _quantile(share: float) -> Statistic:
    """By linear interpolation, as numpy's and R's usual one."""

    def of(values: Floats) -> Floats:
        place = share * (values.shape[-1] - 1)
        low, high = int(np.floor(place)), int(np.ceil(place))
        parted = np.partition(values, (low, high), axis=-1)
        return np.asarray(parted[..., low] + (parted[..., high] - parted[..., low]) * (place - low))

    def without_each(values: Floats) -> Floats:
        """Leaving out a row moves the ranks above it: so there are few different values."""
        order = np.sort(values)
        place = share * (values.size - 2)
        low, high = int(np.floor(place)), int(np.ceil(place))
        rank = np.arange(values.size)
        below, above = (np.where(rank <= at, order[at + 1], order[at]) for at in (low, high))
        return np.asarray(below + (above - below) * (place - low))

    return Statistic(of, without_each)


def _correlation(left: Floats, right: Floats) -> Floats:
    x = left - left.mean(axis=-1, keepdims=True)
    y = right - right.mean(axis=-1, keepdims=True)
    return _cosine((x * y).sum(axis=-1), (x * x).sum(axis=-1), (y * y).sum(axis=-1))


def _correlation_without(left: Floats, right: Floats) -> Floats:
    n, x, y = left.size, left - left.mean(), right - right.mean()

    def product(a: Floats, b: Floats) -> Floats:
        return np.asarray((a * b).sum() - a * b - (a.sum() - a) * (b.sum() - b) / (n - 1))

    return _cosine(product(x, y), product(x, x), product(y, y))


def _cosine(product: Floats, left: Floats, right: Floats) -> Floats:
    scale = np.sqrt(left * right)
    return np.asarray(np.divide(product, scale, out=np.full_like(scale, np.nan), where=scale > 0))


def _difference(values: Floats, is_second: Floats) -> Floats:
    """The mean of the rows with 1 less that of the rows with 0; NaN where a resample lacks one of both."""
    second = is_second.sum(axis=-1)
    first = is_second.shape[-1] - second
    sums = (values * is_second).sum(axis=-1), (values * (1 - is_second)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[0] / second - sums[1] / first)


def _difference_without(values: Floats, is_second: Floats) -> Floats:
    counts = is_second.sum() - is_second, (1 - is_second).sum() - (1 - is_second)
    sums = (values * is_second).sum() - values * is_second, (values * (1 - is_second)).sum() - values * (1 - is_second)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[0] / counts[0] - sums[1] / counts[1])
