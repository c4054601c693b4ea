"""Many values of one column as one array parameter, which PostgreSQL unnests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import models

#: Their values go into PostgreSQL as they are, so nothing need be asked of the field.
_PLAIN: dict[type[models.Field[Any, Any]], set[type]] = {
    models.CharField: {str},
    models.TextField: {str},
    models.EmailField: {str},
    models.SlugField: {str},
    models.URLField: {str},
    models.IntegerField: {int},
    models.BigIntegerField: {int},
    models.SmallIntegerField: {int},
    models.PositiveIntegerField: {int},
    models.PositiveBigIntegerField: {int},
    models.AutoField: {int},
    models.BigAutoField: {int},
    models.FloatField: {float},
    models.BooleanField: {bool},
    models.UUIDField: {UUID},
}
_BARE = {int, float, bool, Decimal}
_QUOTED = {datetime, date, time, UUID}
_SIMPLE = {type(None), str, int, float, bool, Decimal, datetime, date, UUID}
#: A column of such a type cannot be compared, or an array of arrays would be flattened.
_UNFIT = ("json", "xml", "point", "[]")


def prepared(field: Any, values: Sequence[Any], connection: Any) -> list[Any]:
    """As the database takes them."""
    kinds = set(map(type, values)) - {type(None)}
    if connection.vendor == "postgresql" and kinds <= _PLAIN.get(type(field), set()):
        return list(values)
    prepare = field.get_db_prep_save
    return [None if value is None else prepare(value, connection=connection) for value in values]


def element_type(field: Any, connection: Any) -> str | None:
    """Of the array's elements, without a length or scale, as a cast would cut them off. None: it cannot be unnested."""
    target = field.target_field if field.is_relation else field
    kind = target.rel_db_type(connection) if hasattr(target, "rel_db_type") else target.db_type(connection)
    if kind is None or kind in _UNFIT or kind.endswith("[]"):
        return None
    bare = kind.partition("(")[0]
    return "text" if bare in ("varchar", "char") else bare


def is_one_value(values: Sequence[Any]) -> bool:
    first = values[0]
    return type(first) in _SIMPLE and all(value is first or value == first for value in values)


def literal(values: Sequence[Any]) -> Any:
    """The array as PostgreSQL's text, or the list itself where the driver knows better."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return "{" + ",".join(["NULL"] * len(values)) + "}"
    if kinds == {str}:
        return _joined(values, _quoted)
    if kinds <= _BARE:
        return _joined(values, str)
    if kinds <= _QUOTED:
        return _joined(values, lambda value: f'"{value}"')
    return list(values)


def _joined(values: Sequence[Any], text: Callable[[Any], str]) -> str:
    return "{" + ",".join(["NULL" if value is None else text(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
