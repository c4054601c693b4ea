"""What rows were before a batch, as JSON, and how they become that again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import FloatField, Model

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


def of_inserted(model: type[Model], keys: Sequence[Any]) -> dict[str, Any]:
    names, columns = attributes(model), _stored(model, keys, attributes(model))
    return image(INSERTED, model, names, columns[0], (), columns[1:])


def of_deleted(model: type[Model], keys: Sequence[Any]) -> dict[str, Any]:
    """Before they are deleted: what is stored, and not what a record was made to be."""
    names, columns = attributes(model), _stored(model, keys, attributes(model))
    return image(DELETED, model, names, columns[0], columns[1:])


def _stored(model: type[Model], keys: Sequence[Any], names: Sequence[str]) -> list[Sequence[Any]]:
    """A column of the rows' keys, and one for each name. Nobody changes the rows until this transaction ends."""
    rows = model._base_manager.filter(pk__in=keys).select_for_update().values_list("pk", *names)
    return list(zip(*rows, strict=True)) or [() for _ in ("pk", *names)]


def restore(changes: Sequence[dict[str, Any]]) -> tuple[dict[str, Counter[str]], list[tuple[str, str]]]:
    """Undo the changes of one batch, the last one first: how many, by model and kind; and what differs by now."""
    undone = _restored_at_once(changes) or _restored_one_by_one(changes)
    counts, stale = dict[str, Counter[str]](), list[tuple[str, str]]()
    for change, keys in zip(reversed(changes), reversed(undone), strict=True):
        counts.setdefault(change["model"], Counter())[_UNDONE[change["kind"]]] += len(keys)
        stale += [(change["model"], str(key)) for key in change["keys"] if str(key) not in keys]
    return counts, stale


def _restored_at_once(changes: Sequence[dict[str, Any]]) -> list[set[str]] | None:
    """The keys that were undone, by change; None where a constraint of the database stands against one."""
    try:
        with transaction.atomic():
            undone = [_undo(change) for change in reversed(changes)]
            connection.check_constraints()
    except IntegrityError:
        return None
    return undone[::-1]


def _restored_one_by_one(changes: Sequence[dict[str, Any]]) -> list[set[str]]:
    """Again and again, as long as that helps: a row may have to wait for one that it points to."""
    undone: list[set[str]] = [set() for _ in changes]
    before = -1
    while (so_far := sum(map(len, undone))) > before:
        before = so_far
        for change, keys in zip(reversed(changes), reversed(undone), strict=True):
            keys |= _undone_as_far_as_it_goes(_without(change, keys))
    return undone


def _undone_as_far_as_it_goes(change: dict[str, Any]) -> set[str]:
    count = len(change["keys"])
    if count == 0:
        return set()
    try:
        with transaction.atomic():
            undone = _undo(change)
            connection.check_constraints()
            return undone
    except IntegrityError:
        if count == 1:
            return set()
    halves = (range(count // 2), range(count // 2, count))
    return {key for half in halves for key in _undone_as_far_as_it_goes(_only(change, half))}


def _without(change: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return _only(change, [i for i, key in enumerate(change["keys"]) if str(key) not in keys])


def _only(change: dict[str, Any], places: Sequence[int]) -> dict[str, Any]:
    picked = {side: [[column[i] for i in places] for column in change[side]] for side in ("old", "new")}
    return {**change, "keys": [change["keys"][i] for i in places], **picked}


def _undo(change: dict[str, Any]) -> set[str]:
    return _UNDO[change["kind"]](apps.get_model(change["model"]), change)


def _undo_update(model: type[Model], change: dict[str, Any]) -> set[str]:
    old, new = _columns(model, change, "old"), _columns(model, change, "new")
    keys = [model._meta.pk.to_python(value) for value in change["keys"]]
    return {str(value) for value in writing.update_and_tell(model, change["fields"], keys, old, new)}


def _undo_insert(model: type[Model], change: dict[str, Any]) -> set[str]:
    """Only where the row still is what was inserted, in the columns that there still are."""
    fields = fields_of(model)
    made = {
        name: _compared(fields[name], column)
        for name, column in zip(change["fields"], change["new"], strict=True)
        if name in fields
    }
    there, *columns = _stored(model, [model._meta.pk.to_python(key) for key in change["keys"]], list(made))
    now = [_compared(fields[name], _column(fields[name], values)) for name, values in zip(made, columns, strict=True)]
    was = {str(key): row for key, row in zip(change["keys"], zip(*made.values(), strict=True), strict=True)}
    same = [key for key, row in zip(there, zip(*now, strict=True), strict=True) if row == was[str(key)]]
    writing.delete(model, same)
    return {str(key) for key in same}


def _compared(field: Any, column: Sequence[Any]) -> Sequence[Any]:
    """The sign of a zero is no change: an INSERT by Django loses it."""
    return ["0.0" if text == "-0.0" else text for text in column] if isinstance(field, FloatField) else column


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
