"""Many rows in one statement: `UPDATE … FROM unnest(…)` and `INSERT … SELECT … FROM unnest(…)`.

Other databases, and columns that PostgreSQL cannot unnest, are written row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Field, Model

from lro import Fail

from . import arrays
from .tracking import fields_of


class Stale(Exception):
    """A row is no longer what it was when it was read."""


Columns = Sequence[Sequence[Any]]


def update(model: type[Model], names: Sequence[str], keys: Sequence[Any], new: Columns, old: Columns) -> int:
    """Write columns of new values where the old ones still stand; how many rows were written.

    `new` and `old` hold a column of values for each name.
    """
    statement = _Update(model, names, keys, new, old)
    if not statement.types:
        return len(statement.each())
    with connection.cursor() as cursor:
        cursor.execute(*statement.whole())
        return int(cursor.rowcount)


def update_and_tell(
    model: type[Model], names: Sequence[str], keys: Sequence[Any], new: Columns, old: Columns
) -> set[Any]:
    """As `update`, but which rows were written, by key."""
    statement = _Update(model, names, keys, new, old)
    if not statement.types:
        return statement.each()
    sql, parameters = statement.whole()
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} RETURNING t.{_quoted(model._meta.pk.column)}", parameters)
        return {row[0] for row in cursor.fetchall()}


class _Update:
    """The statement, from columns of values as the database takes them; without types it goes row by row."""

    def __init__(
        self, model: type[Model], names: Sequence[str], keys: Sequence[Any], new: Columns, old: Columns
    ) -> None:
        refuse_unfit(model)
        self._model, self._keys = model, keys
        self._fields: list[Any] = [fields_of(model)[name] for name in names]
        self._key = arrays.prepared(model._meta.pk, keys, connection)
        self._new, self._old = (
            [arrays.prepared(field, values, connection) for field, values in zip(self._fields, columns, strict=True)]
            for columns in (new, old)
        )
        found = [arrays.element_type(field, connection) for field in (model._meta.pk, *self._fields)]
        types = [kind for kind in found if kind is not None and connection.vendor == "postgresql"]
        self.types = types if len(types) == len(found) else []

    def whole(self) -> tuple[str, list[Any]]:
        """A column of one value is that value: it need not be sent, and read, for each row."""
        columns = [_quoted(field.column) for field in self._fields]
        arrayed = [(self.types[0], self._key)]
        sets, given = self._expressions(columns, self._new, arrayed)
        same, wanted = self._expressions(columns, self._old, arrayed)
        key, (range_sql, ends) = _quoted(self._model._meta.pk.column), self._range()
        aliases = ", ".join(f"c{number}" for number in range(len(arrayed)))
        sql = (
            f"UPDATE {_quoted(self._model._meta.db_table)} AS t SET {', '.join(f'{c} = {e}' for c, e in sets)} "
            f"FROM unnest({_parameters([kind for kind, _ in arrayed])}) AS v({aliases}) WHERE t.{key} = v.c0{range_sql}"
            + "".join(f" AND t.{column} IS NOT DISTINCT FROM {expression}" for column, expression in same)
        )
        return sql, [*given, *(arrays.literal(values) for _, values in arrayed), *ends, *wanted]

    def _expressions(
        self, columns: Sequence[str], values: Columns, arrayed: list[tuple[str, list[Any]]]
    ) -> tuple[list[tuple[str, str]], list[Any]]:
        """What each column is set to, or compared with: an array, added to `arrayed`, or a parameter."""
        found, parameters = [], []
        for column, kind, each in zip(columns, self.types[1:], values, strict=True):
            if arrays.is_one_value(each):
                found.append((column, f"CAST(%s AS {kind})"))
                parameters.append(each[0])
            else:
                found.append((column, f"v.c{len(arrayed)}"))
                arrayed.append((kind, list(each)))
        return found, parameters

    def _range(self) -> tuple[str, list[Any]]:
        """Else the planner may read the table from its start, for each batch anew, to merge it with the keys."""
        if not isinstance(self._key[0], (int, UUID)):
            return "", []  # the database may order text in another way
        kind, key = self.types[0], _quoted(self._model._meta.pk.column)
        return f" AND t.{key} BETWEEN CAST(%s AS {kind}) AND CAST(%s AS {kind})", [min(self._key), max(self._key)]

    def each(self) -> set[Any]:
        same = "IS" if connection.vendor == "sqlite" else "IS NOT DISTINCT FROM"
        columns = [_quoted(field.column) for field in self._fields]
        sets = ", ".join(f"{column} = %s" for column in columns)
        where = "".join(f" AND {column} {same} %s" for column in columns)
        table, key = _quoted(self._model._meta.db_table), _quoted(self._model._meta.pk.column)
        sql, written = f"UPDATE {table} SET {sets} WHERE {key} = %s{where}", set()
        rows = zip(self._keys, self._key, zip(*self._new, strict=True), zip(*self._old, strict=True), strict=True)
        with connection.cursor() as cursor:
            for key_value, prepared, new, old in rows:
                cursor.execute(sql, [*new, prepared, *old])
                if cursor.rowcount:
                    written.add(key_value)
        return written


def insert(rows: Sequence[Model], *, may_be_late: bool = False) -> None:
    """Insert rows of one model and set their keys.

    Where one with the same unique value is there, it is an error, or `Stale` where that may happen.
    """
    model = type(rows[0])
    refuse_unfit(model)
    columns = {field: [field.pre_save(row, add=True) for row in rows] for field in _given(model)}
    given = {field: values for field, values in columns.items() if not _is_left_out(field, values)}
    is_plain = not any(hasattr(value, "resolve_expression") for values in given.values() for value in values)
    types = [arrays.element_type(field, connection) for field in given]
    if connection.vendor != "postgresql" or None in types or not is_plain or None in given.get(model._meta.pk, ()):
        model._default_manager.bulk_create(rows)
        return
    names = ", ".join(_quoted(field.column) for field in given)
    key = model._meta.pk
    sql = (
        f"INSERT INTO {_quoted(model._meta.db_table)} ({names}) SELECT * FROM unnest({_parameters(types)}) "
        f"{'ON CONFLICT DO NOTHING ' if may_be_late else ''}RETURNING {_quoted(key.column)}"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            sql, [arrays.literal(arrays.prepared(field, values, connection)) for field, values in given.items()]
        )
        keys = [row[0] for row in cursor.fetchall()]
    if len(keys) != len(rows):
        raise Stale(f"A row of {model._meta.label} with the same unique value was there already.")
    for row, value in zip(rows, keys, strict=True):
        setattr(row, key.attname, value)
        row._state.adding, row._state.db = False, connection.alias


def delete(model: type[Model], keys: Sequence[Any]) -> int:
    """Delete rows, and nothing that points to them."""
    if not keys:
        return 0  # Django has no count of what it does not ask the database
    rows: Any = model._base_manager.filter(pk__in=keys)
    return int(rows._raw_delete(connection.alias))


def refuse_unfit(model: type[Model]) -> None:
    if model._meta.parents:
        raise Fail(
            "unsupported_model", f"{model._meta.label} is stored in several tables, and cannot be written at once."
        )


def _given(model: type[Model]) -> list[Field[Any, Any]]:
    """The columns that the database does not compute from others."""
    return [field for field in model._meta.local_concrete_fields if not getattr(field, "generated", False)]


def _is_left_out(field: Field[Any, Any], values: list[Any]) -> bool:
    """The database gives the value: a key, or a default of its own."""
    if field.primary_key and values.count(None) == len(values):
        return True
    return all(type(value).__name__ == "DatabaseDefault" for value in values)


def _parameters(types: Sequence[str | None]) -> str:
    return ", ".join(f"%s::{kind}[]" for kind in types)


def _quoted(name: str | None) -> str:
    return str(connection.ops.quote_name(name or ""))
