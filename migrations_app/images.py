"""What rows were before a batch, as JSON, and how they become that again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from . import writing
from .tracking import attributes, fields_of

UPDATED, INSERTED, DELETED = "updated", "inserted", "deleted"
#: What is done to undo it.
_UNDONE = {UPDATED: UPDATED, INSERTED: DELETED, DELETED: INSERTED}
_AS_IT_IS = (str, int, bool, type(None))


def image(
    kind: str, model: type[Model], names: Sequence[str], keys: Sequence[Any], old: Any = (), new: Any = ()
) -> dict[str, Any]:
    """`old` and `new` are columns of values, one for each name."""
    fields = [fields_of(model)[name] for name in names]
    return {
        "kind": kind,
        "model": model._meta.label_lower,
        "fields": list(names),
        "keys": _column(model._meta.pk, keys),
        "old": [_column(field, values) for field, values in zip(fields, old, strict=False)],
        "new": [_column(field, values) for field, values in zip(fields, new, strict=False)],
    }


def of_deleted(rows: Sequence[Model]) -> dict[str, Any]:
    model = type(rows[0])
    names = attributes(model)
    return image(DELETED, model, names, [row.pk for row in rows], [[getattr(row, n) for row in rows] for n in names])


def restore(changes: Sequence[dict[str, Any]]) -> tuple[dict[str, Counter[str]], list[tuple[str, str]]]:
    """Undo the changes of one batch, the last one first: how many, by model and kind; and what differs by now."""
    counts, stale = dict[str, Counter[str]](), list[tuple[str, str]]()
    for change in reversed(changes):
        model = apps.get_model(change["model"])
        undone = _UNDO[change["kind"]](model, change)
        counts.setdefault(change["model"], Counter())[_UNDONE[change["kind"]]] += len(undone)
        stale += [(change["model"], str(key)) for key in change["keys"] if str(key) not in undone]
    return counts, stale


def _undo_update(model: type[Model], change: dict[str, Any]) -> set[str]:
    names, key = change["fields"], model._meta.pk
    old, new = (
        [_read(model, name, column) for name, column in zip(names, change[side], strict=True)]
        for side in ("old", "new")
    )
    keys = [key.to_python(value) for value in change["keys"]]
    return {str(value) for value in writing.update_and_tell(model, names, keys, old, new)}


def _undo_insert(model: type[Model], change: dict[str, Any]) -> set[str]:
    keys = [model._meta.pk.to_python(value) for value in change["keys"]]
    there = set(model._base_manager.filter(pk__in=keys).values_list("pk", flat=True))
    if _is_deleted(model, list(there)):
        return {str(key) for key in there}
    return {str(key) for key in there if _is_deleted(model, [key])}  # others point to some of them by now


def _is_deleted(model: type[Model], keys: Sequence[Any]) -> bool:
    try:
        with transaction.atomic():
            writing.delete(model, keys)
            connection.check_constraints()
    except IntegrityError:
        return False
    return True


def _undo_delete(model: type[Model], change: dict[str, Any]) -> set[str]:
    columns = _columns(model, change, "old")
    rows = [model(**dict(zip(change["fields"], values, strict=True))) for values in zip(*columns, strict=True)]
    taken = set(model._base_manager.filter(pk__in=[row.pk for row in rows]).values_list("pk", flat=True))
    free = [row for row in rows if row.pk not in taken]
    if free:
        model._base_manager.bulk_create(free)
    return {str(row.pk) for row in free}


_UNDO = {UPDATED: _undo_update, INSERTED: _undo_insert, DELETED: _undo_delete}


def _column(field: Any, values: Sequence[Any]) -> list[Any]:
    if all(type(value) in _AS_IT_IS for value in values) or field.get_internal_type() == "JSONField":
        return list(values)
    as_text, holder = field.value_to_string, SimpleNamespace()
    column = []
    for value in values:
        setattr(holder, field.attname, value)
        column.append(None if value is None else as_text(holder))
    return column


def _columns(model: type[Model], change: dict[str, Any], side: str) -> list[list[Any]]:
    return [_read(model, name, column) for name, column in zip(change["fields"], change[side], strict=True)]


def _read(model: type[Model], name: str, column: Sequence[Any]) -> list[Any]:
    field: Any = fields_of(model)[name]
    if field.get_internal_type() == "JSONField":
        return list(column)
    return [None if value is None else field.to_python(value) for value in column]
