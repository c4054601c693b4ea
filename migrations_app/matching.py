"""Rows found by other columns than their key, for an upsert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Model, Q, QuerySet

from .tracking import fields_of


def key_of(row: Model, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row.__dict__[attname(type(row), name)] for name in names)


def attname(model: type[Model], name: str) -> str:
    return name if name in fields_of(model) else str(model._meta.get_field(name).attname)  # type: ignore[union-attr]


def by_key(model: type[Model], names: Sequence[str], values: Iterable[tuple[Any, ...]]) -> QuerySet[Any]:
    """The rows that have one of these values."""
    rows = model._base_manager.order_by("pk")
    if len(names) == 1:
        return rows.filter(**{f"{names[0]}__in": [value for (value,) in values]})
    return rows.filter(reduce(or_, (Q(**dict(zip(names, value, strict=True))) for value in values)))


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
