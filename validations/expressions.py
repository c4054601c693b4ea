"""Row conditions: SQL expressions over the columns, parsed by sqlglot and translated to polars node by node.

Only what the tables below name is translated, so nothing else can ever run. Logic is SQL's, with three
values; arithmetic is in double precision, and a division by zero is null. A text literal beside a date is read as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import polars as pl
from sqlglot import exp

from . import bounds
from .expression_parsing import BadExpression, like_pattern, parsed, position_of, refuse_unread_arguments
from .expression_values import ARITHMETIC, BOOLEAN, COMPARISONS, MOMENT, NULL, NUMBER, TEXT, Typed, as_family, as_number
from .faults import did_you_mean
from .readings import moments_in, numbers_in


def translate(text: str, schema: Mapping[str, Any], as_of: datetime) -> pl.Expr:
    """The expression as a polars one whose value is true, false or null. Raises BadExpression."""
    tree = parsed(text)
    found = _Translator(schema, as_of).translate(tree)
    if found.family not in (BOOLEAN, NULL):
        raise BadExpression(f"A condition must be true or false, this one is {found.family}.", 1)
    expr = found.expr.cast(pl.Boolean)
    try:
        pl.LazyFrame(schema=dict(schema)).select(expr).collect()
    except Exception as error:  # whatever polars refuses, it refuses it here and not in the run
        raise BadExpression(f"This cannot be computed: {str(error).splitlines()[0]}", 1) from error
    return expr


def _called(node: Any) -> str:
    if isinstance(node, exp.Binary) and not isinstance(node, exp.Func):
        return f"'{node.sql(dialect='duckdb'):.60}'"  # an operator, whose class says little
    return node.name if isinstance(node, exp.Anonymous) else type(node).__name__.upper()


class _Translator:
    def __init__(self, schema: Mapping[str, Any], as_of: datetime) -> None:
        self.schema, self.as_of = schema, as_of

    def translate(self, node: Any) -> Typed:
        found = _NODES.get(type(node))
        if found is None:
            raise BadExpression(f"{_called(node)} may not be used in a condition.", position_of(node))
        refuse_unread_arguments(node)
        try:
            return found(self, node)
        except RecursionError:
            raise BadExpression("It is nested too deeply.", 1) from None

    def of(self, node: Any, family: str) -> pl.Expr:
        """The node's expression, which must be of the family. Null is of every one."""
        return self._as(family, self.translate(node), node)

    def _as(self, family: str, found: Typed, node: Any) -> pl.Expr:
        if family == MOMENT and found.text is not None:
            return self._moment(found.text, node)
        if found.family not in (family, NULL):
            raise BadExpression(f"Here must be {family}, not {found.family}.", position_of(node))
        return found.expr

    def alike(self, nodes: list[Any]) -> tuple[list[pl.Expr], str]:
        """Values that can be compared with each other, and their family."""
        found = [self.translate(node) for node in nodes]
        families = {each.family for each in found if each.family != NULL}
        if families == {TEXT, MOMENT}:
            return [self._as(MOMENT, each, node) for each, node in zip(found, nodes, strict=True)], MOMENT
        if len(families) > 1:
            message = f"This compares {' with '.join(sorted(families))}; CAST one of them."
            raise BadExpression(message, position_of(nodes[0]))
        return [each.expr for each in found], families.pop() if families else NULL

    def _moment(self, text: str, node: Any) -> pl.Expr:
        try:
            return pl.lit(bounds.moment(text, self.as_of))
        except ValueError:
            raise BadExpression(f"'{text}' is no date or time.", position_of(node)) from None

    def column(self, node: exp.Column) -> Typed:
        name = node.name
        if node.table or name not in self.schema:
            shown = node.sql(dialect="duckdb")
            end = did_you_mean(name, self.schema)
            raise BadExpression(f"There is no column {shown}{end}", position_of(node), "unknown_column")
        return Typed(*as_family(pl.col(name), self.schema[name]))

    def literal(self, node: exp.Literal) -> Typed:
        if node.is_string:
            return Typed(pl.lit(node.name), TEXT, node.name)
        return Typed(pl.lit(as_number(node.name)), NUMBER)

    def cast(self, node: exp.Cast) -> Typed:
        word, value = node.args["to"].sql().partition("(")[0].upper(), self.translate(node.this)
        if word in ("DATE", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME"):
            if value.text is not None:
                return Typed(self._moment(value.text, node), MOMENT)
            expr = value.expr if value.family == MOMENT else moments_in(value.expr.cast(pl.String))
            return Typed(expr.dt.truncate("1d") if word == "DATE" else expr, MOMENT)
        if word in ("TEXT", "VARCHAR", "STRING", "CHAR"):
            return Typed(value.expr.cast(pl.String), TEXT)
        if word in ("INT", "INTEGER", "BIGINT", "DOUBLE", "FLOAT", "DECIMAL", "REAL", "NUMERIC"):
            number = numbers_in(value.expr) if value.family == TEXT else value.expr.cast(pl.Float64, strict=False)
            return Typed(number.round() if "INT" in word else number, NUMBER)
        raise BadExpression(
            f"There is no type {word}; cast to DATE, TIMESTAMP, TEXT, INTEGER or DOUBLE.", position_of(node)
        )

    def case(self, node: exp.Case) -> Typed:
        if node.this is not None:
            raise BadExpression("Write CASE WHEN condition THEN value … END.", position_of(node))
        branches = node.args["ifs"]
        default = node.args.get("default") or exp.Null()
        values, family = self.alike([branch.args["true"] for branch in branches] + [default])
        chosen = values[-1]
        for branch, value in reversed(list(zip(branches, values, strict=False))):
            condition = self.of(branch.this, BOOLEAN).fill_null(False)
            chosen = pl.when(condition).then(value).otherwise(chosen)
        return Typed(chosen, family)

    def comparison(self, node: exp.Binary) -> Typed:
        (left, right), _ = self.alike([node.left, node.right])
        return Typed(COMPARISONS[type(node)](left, right), BOOLEAN)

    def is_(self, node: exp.Is) -> Typed:
        if isinstance(node.expression, exp.Null):
            return Typed(self.translate(node.this).expr.is_null(), BOOLEAN)
        if not isinstance(node.expression, exp.Boolean):
            raise BadExpression("IS is followed by NULL, NOT NULL, TRUE or FALSE.", position_of(node))
        value = self.of(node.this, BOOLEAN)
        return Typed((value if node.expression.this else ~value).fill_null(False), BOOLEAN)

    def in_(self, node: exp.In) -> Typed:
        if not node.expressions:
            raise BadExpression("IN is followed by a list of values.", position_of(node))
        values, _ = self.alike([node.this, *node.expressions])
        return Typed(pl.any_horizontal([values[0] == value for value in values[1:]]), BOOLEAN)

    def between(self, node: exp.Between) -> Typed:
        (value, low, high), _ = self.alike([node.this, node.args["low"], node.args["high"]])
        return Typed((value >= low) & (value <= high), BOOLEAN)

    def like(self, node: exp.Like | exp.ILike) -> Typed:
        if not (isinstance(node.expression, exp.Literal) and node.expression.is_string):
            raise BadExpression("LIKE is followed by a text in quotes.", position_of(node))
        pattern = like_pattern(node.expression.name, ignores_case=isinstance(node, exp.ILike))
        return Typed(self.of(node.this, TEXT).str.contains(pattern), BOOLEAN)

    def matches(self, node: exp.RegexpLike) -> Typed:
        if not (isinstance(node.expression, exp.Literal) and node.expression.is_string):
            raise BadExpression("The regular expression must be a text in quotes.", position_of(node))
        return Typed(self.of(node.this, TEXT).str.contains(node.expression.name), BOOLEAN)

    def arithmetic(self, node: exp.Binary) -> Typed:
        left, right = (self.of(side, NUMBER).cast(pl.Float64) for side in (node.left, node.right))
        if isinstance(node, exp.Div | exp.Mod):
            right = pl.when(right != 0).then(right)
        return Typed(ARITHMETIC[type(node)](left, right), NUMBER)

    def coalesce(self, node: exp.Func) -> Typed:
        values, family = self.alike([node.this, *node.expressions])
        combine: Any = {exp.Coalesce: pl.coalesce, exp.Greatest: pl.max_horizontal, exp.Least: pl.min_horizontal}[
            type(node)
        ]
        return Typed(combine(values), family)

    def substring(self, node: exp.Substring) -> Typed:
        start, length = (self.of(node.args.get(key) or exp.Null(), NUMBER) for key in ("start", "length"))
        return Typed(self.of(node.this, TEXT).str.slice(start.cast(pl.Int64) - 1, length.cast(pl.Int64)), TEXT)

    def extract(self, node: exp.Extract) -> Typed:
        return self.date_part(node.name.lower(), node.expression, node)

    def date_part(self, word: str, value: Any, node: Any) -> Typed:
        if word not in ("year", "month", "day", "hour", "minute", "second"):
            raise BadExpression(f"There is no part {word} of a time.", position_of(node))
        return Typed(getattr(self.of(value, MOMENT).dt, word)().cast(pl.Int64), NUMBER)


def _function(argument: str, result: str, compute: Callable[[pl.Expr], pl.Expr]) -> Callable[[_Translator, Any], Typed]:
    return lambda own, node: Typed(compute(own.of(node.this, argument)), result)


def _pair(compute: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[_Translator, Any], Typed]:
    return lambda own, node: Typed(compute(own.of(node.this, TEXT), own.of(node.expression, TEXT)), BOOLEAN)


def _logic(compute: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[_Translator, Any], Typed]:
    def combined(own: _Translator, node: Any) -> Typed:
        return Typed(compute(own.of(node.left, BOOLEAN), own.of(node.right, BOOLEAN)), BOOLEAN)

    return combined


def _part(word: str) -> Callable[[_Translator, Any], Typed]:
    return lambda own, node: own.date_part(word, node.this, node)


_NODES: dict[type, Callable[[_Translator, Any], Typed]] = {
    exp.Column: _Translator.column,
    exp.Literal: _Translator.literal,
    exp.Boolean: lambda own, node: Typed(pl.lit(bool(node.this)), BOOLEAN),
    exp.Null: lambda own, node: Typed(pl.lit(None), NULL),
    exp.Paren: lambda own, node: own.translate(node.this),
    exp.Not: _function(BOOLEAN, BOOLEAN, lambda value: ~value),
    exp.And: _logic(lambda a, b: a & b),
    exp.Or: _logic(lambda a, b: a | b),
    **dict.fromkeys(COMPARISONS, _Translator.comparison),
    **dict.fromkeys(ARITHMETIC, _Translator.arithmetic),
    exp.Neg: _function(NUMBER, NUMBER, lambda value: -value),
    exp.Is: _Translator.is_,
    exp.In: _Translator.in_,
    exp.Between: _Translator.between,
    exp.Like: _Translator.like,
    exp.ILike: _Translator.like,
    exp.RegexpLike: _Translator.matches,
    exp.Cast: _Translator.cast,
    exp.TryCast: _Translator.cast,
    exp.Case: _Translator.case,
    exp.Coalesce: _Translator.coalesce,
    exp.Greatest: _Translator.coalesce,
    exp.Least: _Translator.coalesce,
    exp.Length: _function(TEXT, NUMBER, lambda value: value.str.len_chars().cast(pl.Int64)),
    exp.Lower: _function(TEXT, TEXT, lambda value: value.str.to_lowercase()),
    exp.Upper: _function(TEXT, TEXT, lambda value: value.str.to_uppercase()),
    exp.Trim: _function(TEXT, TEXT, lambda value: value.str.strip_chars()),
    exp.Abs: _function(NUMBER, NUMBER, lambda value: value.abs()),
    exp.Floor: _function(NUMBER, NUMBER, lambda value: value.floor()),
    exp.Ceil: _function(NUMBER, NUMBER, lambda value: value.ceil()),
    exp.StartsWith: _pair(lambda value, start: value.str.starts_with(start)),
    exp.EndsWith: _pair(lambda value, end: value.str.ends_with(end)),
    exp.Contains: _pair(lambda value, part: value.str.contains(part, literal=True)),
    exp.DPipe: lambda own, node: Typed(own.of(node.left, TEXT) + own.of(node.right, TEXT), TEXT),
    exp.Substring: _Translator.substring,
    exp.Extract: _Translator.extract,
    exp.Year: _part("year"),
    exp.Month: _part("month"),
    exp.Day: _part("day"),
    exp.CurrentDate: lambda own, node: Typed(pl.lit(bounds.moment("today", own.as_of)), MOMENT),
    exp.CurrentTimestamp: lambda own, node: Typed(pl.lit(own.as_of), MOMENT),
}
