"""What is refused in the request, with the place and the remedy, and what is settled before the start."""

from __future__ import annotations

import difflib
import itertools
import math
from typing import Any

from lro import Problem, datasets

from .memory import memory_bytes

#: What one process may need beside its libraries.
MEMORY_LIMIT = 256 * 2**20
MAX_COLUMNS = 60
MAX_CORRELATED = 30
MAX_BINS = 4_000
_NUMERIC = ("integer", "number")
#: A simulation has at least so many blocks, where it has the paths: standard errors and shards need them.
_BLOCKS = 32
_LARGEST_BLOCK = 2**18
_SMALLEST_BLOCK = 64


def refuse(code: str, pointer: str, message: str) -> Problem:
    return Problem(422, code, message, [{"pointer": pointer, "message": message}])


# Monte Carlo


def monte_carlo(data: dict[str, Any]) -> dict[str, Any]:
    """The input of the run: the model, and the blocks into which the paths are cut."""
    if ("option" in data) == ("portfolio" in data):
        raise refuse("bad_params", "/", "Give either 'option' or 'portfolio'.")
    target = data.get("target_error")
    if target is not None and target <= 0:
        raise refuse("bad_params", "/target_error", "A target for the standard error is greater than 0.")
    model = _option(data["option"]) if "option" in data else _portfolio(data["portfolio"])
    dimensions = _dimensions(model)
    block = _block_paths(data, dimensions)
    memory = _memory(data["sampling"], dimensions, block)
    return {
        **model,
        **{name: data.get(name) for name in ("paths", "sampling", "target_error", "confidence", "seed", "shards")},
        "block_paths": block,
        "blocks": max(2, math.ceil(data["paths"] / block)),
        "memory_bytes": memory,
    }


def _option(option: dict[str, Any]) -> dict[str, Any]:
    return {"option": dict(option)}


def _portfolio(given: dict[str, Any]) -> dict[str, Any]:
    portfolio = dict(given)
    level = portfolio.pop("level")
    size = len(portfolio["weights"])
    portfolio.setdefault("means", [0.0] * size)
    if len(portfolio["means"]) != size:
        message = f"There are {size} weights and {len(portfolio['means'])} means; each asset has one of both."
        raise refuse("bad_params", "/portfolio/means", message)
    freedom = portfolio.get("degrees_of_freedom")
    if freedom is not None and freedom <= 2:
        message = f"With {freedom:g} degrees of freedom there is no covariance; give more than 2."
        raise refuse("bad_params", "/portfolio/degrees_of_freedom", message)
    _check_covariance(portfolio["covariance"], size)
    return {"portfolio": portfolio, "level": level}


def _check_covariance(covariance: list[list[float]], size: int) -> None:
    place = "/portfolio/covariance"
    if [len(row) for row in covariance] != [size] * size:
        raise refuse("bad_params", place, f"The covariance of {size} assets is a table of {size} × {size} numbers.")
    for i, j in itertools.combinations(range(size), 2):
        if not math.isclose(covariance[i][j], covariance[j][i], rel_tol=1e-9, abs_tol=1e-300):
            both = f"[{i}][{j}] is {covariance[i][j]:g}, [{j}][{i}] is {covariance[j][i]:g}"
            message = f"The covariance is not symmetric: {both}."
            raise refuse("bad_params", f"{place}/{i}/{j}", message)
    import numpy as np

    values = np.linalg.eigvalsh(np.array(covariance))
    if values[0] <= values[-1] * size * np.finfo(float).eps:
        message = (
            f"The covariance is not positive definite: its smallest eigenvalue is {values[0]:g}. "
            "Leave out what is a mixture of other assets, or add to the diagonal."
        )
        raise refuse("bad_params", place, message)


def _dimensions(model: dict[str, Any]) -> int:
    if "portfolio" in model:
        return len(model["portfolio"]["weights"])
    option = model["option"]
    return int(option["steps"]) if option["kind"] == "asian" else 1


def _block_paths(data: dict[str, Any], dimensions: int) -> int:
    """As asked; else small enough for many blocks and large enough to cost nothing beside its paths."""
    given: int | None = data.get("block_paths")
    if given is None:
        largest = min(_LARGEST_BLOCK, 2**22 // dimensions)
        wanted = max(_SMALLEST_BLOCK, min(largest, data["paths"] // _BLOCKS))
        return 1 << (int(wanted).bit_length() - 1)
    if given & (given - 1):
        message = f"The paths of a block are a power of two, as {1 << given.bit_length()}."
        raise refuse("bad_params", "/block_paths", message)
    return given


def _memory(sampling: str, dimensions: int, block: int) -> int:
    memory = memory_bytes(sampling, dimensions, block)
    if memory > MEMORY_LIMIT:
        message = (
            f"A block of {block:,} paths in {dimensions:,} dimensions takes {memory / 2**20:,.0f} MiB, "
            f"{MEMORY_LIMIT / 2**20:,.0f} are allowed; give a smaller 'block_paths'."
        )
        raise refuse("bad_params", "/block_paths", message)
    return memory


# Datasets


def bootstrap(data: dict[str, Any]) -> dict[str, Any]:
    dataset = datasets.load(data["dataset"])
    statistic, other = data["statistic"], data.get("other")
    _numeric(dataset, data["column"], "/column")
    needs_other = statistic in ("correlation", "difference_of_means")
    if needs_other != bool(other):
        what = "needs another column in" if needs_other else "does not take"
        raise refuse("bad_params", "/other", f"The statistic {statistic} {what} 'other'.")
    if other:
        (_numeric if statistic == "correlation" else _known)(dataset, other, "/other")
    memory = 8 * dataset.rows * (6 if needs_other else 4)
    if memory > MEMORY_LIMIT:
        message = (
            f"To resample {dataset.rows:,} rows takes {memory / 2**20:,.0f} MiB, {MEMORY_LIMIT / 2**20:,.0f} are "
            "allowed; with so many rows the formulas of 'describe' and 'regression' are exact enough."
        )
        raise refuse("bad_params", "/dataset", message)
    return {**data, "memory_bytes": memory}


def describe(data: dict[str, Any]) -> dict[str, Any]:
    dataset = datasets.load(data["dataset"])
    columns = data.get("columns") or [column["name"] for column in dataset.columns]
    for index, name in enumerate(columns):
        _known(dataset, name, f"/columns/{index}")
    if len(columns) > MAX_COLUMNS:
        message = f"There are {len(columns):,} columns, at most {MAX_COLUMNS} are described at once; name some."
        raise refuse("too_many_columns", "/columns", message)
    if data.get("group_by"):
        _known(dataset, data["group_by"], "/group_by")
    types = {column["name"]: column["type"] for column in dataset.columns}
    numeric = sum(types[name] in _NUMERIC for name in columns)
    if data["correlation"] and numeric > MAX_CORRELATED:
        message = f"There are {numeric} numeric columns, at most {MAX_CORRELATED} are correlated at once; name some."
        raise refuse("too_many_columns", "/columns", message)
    if numeric * data["bins"] > MAX_BINS:
        message = f"{numeric} histograms of {data['bins']} bins are too much for one answer; take fewer bins."
        raise refuse("bad_params", "/bins", message)
    return {**data, "columns": [[name, types[name]] for name in dict.fromkeys(columns)]}


def regression(data: dict[str, Any]) -> dict[str, Any]:
    dataset = datasets.load(data["dataset"])
    _numeric(dataset, data["target"], "/target")
    for index, name in enumerate(data["predictors"]):
        place = f"/predictors/{index}"
        _numeric(dataset, name, place)
        if name == data["target"] or name in data["predictors"][:index]:
            raise refuse("bad_params", place, f"The column {name} is named twice.")
    if data["degree"] > 1 and len(data["predictors"]) > 1:
        raise refuse("bad_params", "/degree", "A polynomial has one predictor.")
    return data


def _known(dataset: datasets.Dataset, name: str, pointer: str) -> str:
    """The type of the column."""
    types = {column["name"]: column["type"] for column in dataset.columns}
    if name not in types:
        near = difflib.get_close_matches(name, types, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise refuse("unknown_column", pointer, f"The dataset {dataset.name} has no column '{name}'.{hint}")
    return types[name]


def _numeric(dataset: datasets.Dataset, name: str, pointer: str) -> None:
    kind = _known(dataset, name, pointer)
    if kind not in _NUMERIC:
        numeric = [column["name"] for column in dataset.columns if column["type"] in _NUMERIC]
        remedy = f"Numeric are {', '.join(numeric[:10])}." if numeric else "None of its columns is numeric."
        raise refuse("non_numeric_column", pointer, f"The column '{name}' has the type {kind}. {remedy}")
