"""Model instances from rows of values: a tenth of what `Model.__init__` costs, for models that do not mind."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init

from .tracking import Values, attributes, changeable, values_of

_FROM_DB = Model.__dict__["from_db"].__func__


def load(rows: Any) -> tuple[list[Any], list[Values]]:
    """The records, and what they were when they were read."""
    if not _is_plain(rows):
        records = list(rows)
        return records, values_of(records) if records else []
    values: list[Values] = list(rows.values_list(*attributes(rows.model)))
    return _made(rows.model, values), values


def _made(model: Any, values: Sequence[Values]) -> list[Any]:
    names, places, new = attributes(model), changeable(model), model.__new__
    records = []
    for row in values:
        record: Any = new(model)
        record.__dict__ = dict(zip(names, row, strict=True))
        for place in places:
            record.__dict__[names[place]] = deepcopy(row[place])
        record._state = state = ModelState()
        state.adding, state.db = False, DEFAULT_DB_ALIAS
        records.append(record)
    return records


def _is_plain(rows: Any) -> bool:
    """Whether nothing but the columns of the row is asked for, and nobody takes part in the making of an instance."""
    model, query = rows.model, rows.query
    has_more = query.annotations or query.extra or query.select_related or rows._prefetch_related_lookups
    is_deferred = query.deferred_loading != (frozenset(), True)
    is_usual = model.__init__ is Model.__init__ and model.from_db.__func__ is _FROM_DB
    is_heard = pre_init.has_listeners(model) or post_init.has_listeners(model)
    return is_usual and not (has_more or is_deferred or is_heard)
