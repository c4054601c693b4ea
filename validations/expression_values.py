"""What an expression has: a family of values, and the operators between two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlglot import exp

TEXT, NUMBER, BOOLEAN, MOMENT, NULL = "text", "a number", "true or false", "a date or time", "null"


@dataclass(frozen=True, slots=True)
class Typed:
    """A translated expression and which family of values it has."""

    expr: pl.Expr
    family: str
    text: str | None = None  # of a text literal


def as_number(text: str) -> int | float:
    """A number literal: a whole one where it is one of 64 bits, else the nearest float, which may be infinite."""
    return int(text) if text.isdecimal() and len(text) < 19 else float(text)


def as_family(expr: pl.Expr, dtype: Any) -> tuple[pl.Expr, str]:
    if dtype == pl.Boolean:
        return expr, BOOLEAN
    if dtype.is_numeric():
        return expr, NUMBER
    if dtype.is_temporal():
        return expr.cast(pl.Datetime("us")), MOMENT
    return expr, TEXT


COMPARISONS: dict[type, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    exp.EQ: lambda a, b: a == b,
    exp.NEQ: lambda a, b: a != b,
    exp.GT: lambda a, b: a > b,
    exp.GTE: lambda a, b: a >= b,
    exp.LT: lambda a, b: a < b,
    exp.LTE: lambda a, b: a <= b,
}
ARITHMETIC: dict[type, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    exp.Add: lambda a, b: a + b,
    exp.Sub: lambda a, b: a - b,
    exp.Mul: lambda a, b: a * b,
    exp.Div: lambda a, b: a / b,
    exp.Mod: lambda a, b: a % b,
}
