"""What is known of a column after every value was seen, and the rules that this proposes. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .rule_documents import MAX_RULES

#: A column of at most so many different values is proposed as an enumeration.
MOST_VALUES = 20
_LONGEST_VALUE = 100
#: Shapes of texts, the narrower first.
PATTERNS = {
    "uuid": "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "email": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "url": r"https?://\S+",
    "ipv4": r"[0-9]{1,3}(\.[0-9]{1,3}){3}",
    "digits": "[0-9]+",
    "phone": r"\+?[0-9][0-9 ()/.-]{5,24}",
    "upper_case_code": "[A-Z]{2,8}",
    "identifier": "[A-Za-z_][A-Za-z0-9_]*",
}


@dataclass
class ColumnProfile:
    """Of one column; `minimum` and `maximum` are those of the values, or of the lengths of texts."""

    name: str
    type: str
    nulls: int = 0
    count: int = 0  # of values that are not null
    minimum: Any = None
    maximum: Any = None
    values: list[Any] | None = field(default_factory=list)  # None: too many
    patterns: list[str] = field(default_factory=lambda: list(PATTERNS))
    unique: bool = True
    bounded: bool = True  # not where a value is infinite, or in a year beyond Python's

    def add(self, seen: dict[str, Any]) -> None:
        """Count in what a batch showed: `nulls count minimum maximum values patterns unique bounded`."""
        self.nulls += seen["nulls"]
        self.count += seen["count"]
        for key, pick in (("minimum", min), ("maximum", max)):
            known = [value for value in (getattr(self, key), seen[key]) if value is not None]
            setattr(self, key, pick(known, default=None))
        self.values = _together(self.values, seen["values"])
        self.patterns = [name for name in self.patterns if name in seen["patterns"]]
        self.unique = self.unique and seen["unique"]
        self.bounded = self.bounded and seen["bounded"]

    @property
    def is_enumeration(self) -> bool:
        return bool(self.values) and self.type in ("string", "integer") and self.count >= 3 * len(self.values or ())

    def to_json(self) -> dict[str, Any]:
        """As the result shows it."""
        shown = {key: getattr(self, key) for key in ("name", "type", "nulls", "unique", "minimum", "maximum")}
        has_pattern = self.type == "string" and self.count and self.patterns
        return {**shown, "values": self.values, "pattern": self.patterns[0] if has_pattern else None}


def _together(mine: list[Any] | None, theirs: list[Any] | None) -> list[Any] | None:
    if mine is None or theirs is None:
        return None
    every = sorted({*mine, *theirs})
    is_plain = all(len(str(value)) <= _LONGEST_VALUE and "\0" not in str(value) for value in every)
    return every if len(every) <= MOST_VALUES and is_plain else None


def proposed(columns: list[ColumnProfile], rows: int) -> list[dict[str, Any]]:
    """A rule document that the dataset passes: at most as many rules as one may have."""
    document: list[dict[str, Any]] = [{"rule": "row_count", "minimum": 1}] if rows else []
    for column in columns:
        document += _proposed(column, rows)
    return document[:MAX_RULES]


def _proposed(column: ColumnProfile, rows: int) -> list[dict[str, Any]]:
    of = {"column": column.name}
    rules: list[dict[str, Any]] = []
    if not column.count:
        return rules
    if column.type != "string":
        rules.append({"rule": "type", **of, "type": column.type})
    if not column.nulls:
        rules.append({"rule": "required", **of})
    else:
        share = min(1.0, math.ceil(100 * column.nulls / rows) / 100)
        rules.append({"rule": "null_share", **of, "maximum": share, "severity": "warning"})
    if column.unique and column.count > 1:
        rules.append({"rule": "unique", **of})
    if column.is_enumeration:
        rules.append({"rule": "enum", **of, "values": column.values})
    else:
        rules += _ranges(column)
    return rules


def _ranges(column: ColumnProfile) -> list[dict[str, Any]]:
    of = {"column": column.name}
    limits = {"minimum": column.minimum, "maximum": column.maximum}
    if not column.bounded:
        return []
    if column.type in ("date", "datetime"):
        return [{"rule": "date_range", **of, **limits}]
    if column.type in ("integer", "number"):
        is_key = column.unique and column.type == "integer"  # keys grow
        return [] if is_key else [{"rule": "between", **of, **limits}]
    if column.type != "string":
        return []
    length = {"rule": "length", **of, **limits}
    pattern = [{"rule": "pattern", **of, "pattern": PATTERNS[name]} for name in column.patterns[:1]]
    return [length, *pattern]
