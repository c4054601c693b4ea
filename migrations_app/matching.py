"""Rows found by other columns than their key, for an upsert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Model, Q, QuerySet

from .tracking import fields_of

#: SQLite refuses a condition of more than a thousand.
_ALTERNATIVES = 500


def key_of(row: Model, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row.__dict__[attname(type(row), name)] for name in names)


def attname(model: type[Model], name: str) -> str:
    return name if name in fields_of(model) else str(model._meta.get_field(name).attname)  # type: ignore[union-attr]


def by_key(model: type[Model], names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> Iterator[QuerySet[Any]]:
    """The rows that have one of these values, in queries that every database takes."""
    rows = model._base_manager.order_by("pk")
    if len(names) == 1:
        yield rows.filter(**{f"{names[0]}__in": [value for (value,) in values]})
        return
    for start in range(0, len(values), _ALTERNATIVES):
        some = values[start : start + _ALTERNATIVES]
        yield rows.filter(Q(*(Q(**dict(zip(names, value, strict=True))) for value in some), _connector=Q.OR))


def assign(stored: Model, wanted: Model, names: Sequence[str]) -> bool:
    """Take over these fields; whether one differed."""
    found = False
    for name in names:
        attribute = attname(type(stored), name)
        value = wanted.__dict__[attribute]
        if getattr(stored, attribute) != value:
            setattr(stored, attribute, value)
            found = True
    return found
