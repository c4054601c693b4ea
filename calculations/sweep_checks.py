"""Whether each value of a sweep's grid is one that its calculation takes: told in the request, with its place."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

from rest_framework import serializers as drf
from rest_framework.settings import api_settings

from lro import Problem

from .checks import refuse

MAX_POINTS = 1_000


def sweep(data: dict[str, Any], owner: Any) -> dict[str, Any]:
    """The input of the run, in which the points share one seed; each value of the grid is tried in the request."""
    from .operations import task_of
    from .sweeping import point_input

    grid: dict[str, list[Any]] = data["grid"]
    if not grid:
        raise refuse("bad_params", "/grid", "A grid has at least one parameter.")
    count = math.prod(len(values) for values in grid.values())
    if count > MAX_POINTS:
        message = f"The grid has {count:,} points, at most {MAX_POINTS:,} are computed; leave some values out."
        raise refuse("too_many_points", "/grid", message)
    task = task_of(data["calculation"])
    for name in grid:
        _check_parameter(task.input_serializer, name, f"/grid/{name}")
    for name in _names(data["base"]):
        _check_parameter(task.input_serializer, name, f"/base/{name.replace('.', '/')}")
    first = {name: values[0] for name, values in grid.items()}
    base: dict[str, Any] = dict(data["base"])
    for name, value in _trials(grid):
        base = _tried(task, base, point_input(base, {**first, name: value}), owner, f"/grid/{name}")
    return {**data, "base": base, "points": count, "is_seed_drawn": "seed" not in data["base"] and "seed" in base}


def _names(base: dict[str, Any]) -> Iterable[str]:
    """Of its fields, and of theirs, with dots between: as a grid names them."""
    for name, value in base.items():
        yield from (f"{name}.{inner}" for inner in _names(value)) if value and isinstance(value, dict) else (name,)


def _check_parameter(serializer: Any, name: str, pointer: str) -> None:
    """Whether the calculation takes it: what it does not know it would leave out, and all points would be the same."""
    fields: dict[str, Any] = serializer().fields
    done: list[str] = []
    for step in name.split("."):
        if step not in fields:
            near = difflib.get_close_matches(step[:100], fields, n=1)
            hint = f" Did you mean {'.'.join([*done, near[0]])}?" if near else ""
            raise refuse("bad_params", pointer, f"The calculation takes no '{name:.100}'.{hint}")
        done.append(step)
        fields = getattr(fields[step], "fields", {})


def _trials(grid: dict[str, list[Any]]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, values in grid.items() for value in values)


def _tried(task: Any, base: dict[str, Any], data: dict[str, Any], owner: Any, pointer: str) -> dict[str, Any]:
    """The base, with the seed that the calculation drew where it has none. Raises `Problem` for a bad point."""
    serializer = task.input_serializer(data=data, context={"owner": owner})
    try:
        serializer.is_valid(raise_exception=True)
        prepared = task.prepare(dict(serializer.validated_data), owner)
    except drf.ValidationError as error:
        raise refuse("bad_params", pointer, f"A point of the grid is not accepted: {_first(error.detail)}") from error
    except Problem as problem:
        places = [{**place, "pointer": pointer} for place in problem.errors]
        raise Problem(problem.status, problem.code, problem.message, places) from problem
    return {**base, "seed": prepared["seed"]} if "seed" in prepared else base


def _first(detail: Any) -> str:
    """The first sentence of what a serializer found, after the field that it is about."""
    if isinstance(detail, dict):
        name, found = next(iter(detail.items()))
        return _first(found) if name == api_settings.NON_FIELD_ERRORS_KEY else f"{name}: {_first(found)}"
    return _first(detail[0]) if isinstance(detail, list) else str(detail)
