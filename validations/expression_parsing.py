"""The text of a row condition as a tree of sqlglot, and the place of a mistake in it."""

from __future__ import annotations

import re
from typing import Any

import sqlglot
from sqlglot import exp

MAX_CHARACTERS = 2_000
#: What sqlglot reads beside the arguments that are translated, as the flags of `regexp_matches`.
_UNREAD: dict[type, tuple[str, ...]] = {
    exp.Between: ("symmetric",),
    exp.Ceil: ("decimals", "to"),
    exp.Contains: ("json_scope",),
    exp.Floor: ("decimals", "to"),
    exp.Length: ("binary", "encoding"),
    exp.RegexpLike: ("flag",),
    exp.Trim: ("expression", "position", "collation"),
}


class BadExpression(Exception):
    """An expression that cannot be translated: what is wrong, and at which character, from 1."""

    def __init__(self, message: str, position: int, code: str = "bad_expression") -> None:
        super().__init__(message)
        self.message, self.position, self.code = message, position, code


def columns_of(text: str) -> set[str]:
    """The columns that an expression names. Raises BadExpression."""
    return {column.name for column in parsed(text).find_all(exp.Column)}


def parsed(text: str) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise BadExpression(f"It has {len(text):,} characters; at most {MAX_CHARACTERS:,} are allowed.", 1)
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except sqlglot.errors.ParseError as error:
        first = error.errors[0]
        place = _offset(text, first.get("line") or 1, first.get("col") or 1)
        raise BadExpression(f"{_plain(first.get('description') or 'It cannot be read')}.", place) from None
    except sqlglot.errors.SqlglotError as error:
        raise BadExpression(f"It cannot be read: {str(error).splitlines()[0]}", 1) from None
    except RecursionError:
        raise BadExpression("It is nested too deeply.", 1) from None
    if len(trees) != 1 or trees[0] is None:
        raise BadExpression("It must be one expression.", 1)
    return trees[0]


def _plain(description: str) -> str:
    """The parser's sentence without the names of its classes."""
    text = re.sub(r" for <class '[\w.]*\.(\w+)'>", r" of \1", description).rstrip(". ")
    return text.replace("Required keyword: 'expression' missing", "Something is missing at the right side")


def _offset(text: str, line: int, column: int) -> int:
    before = sum(len(row) + 1 for row in text.split("\n")[: line - 1])
    return max(1, min(len(text), before + column))


def position_of(node: exp.Expression) -> int:
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    return min(starts, default=0) + 1


def refuse_unread_arguments(node: exp.Expression) -> None:
    """Raises BadExpression where the translation would leave an argument out without a word."""
    for name in _UNREAD.get(type(node), ()):
        if node.args.get(name):
            raise BadExpression(f"{type(node).__name__.upper()} takes no {name} here.", position_of(node))


def like_pattern(text: str, *, ignores_case: bool) -> str:
    """The regular expression of a LIKE."""
    special = {"%": ".*", "_": "."}
    body = "".join(special.get(char) or re.escape(char) for char in text)
    return rf"{'(?si)' if ignores_case else '(?s)'}\A{body}\z"
