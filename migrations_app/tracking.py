"""What has changed of records since they were read, column by column: most columns have not, which is seen at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db.models import Field, Model

#: The values of a row by the order of its model's attributes.
Values = tuple[Any, ...]
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """Records of one model of which the same attributes differ: what they were, and what they are."""

    model: type[Model]
    names: tuple[str, ...]
    records: Sequence[Any]
    keys: Sequence[Any]
    old: Sequence[Sequence[Any]]
    new: Sequence[Sequence[Any]]


class Tracker:
    """Remembers what records were, to find later what was changed of them."""

    def __init__(self) -> None:
        self._records: dict[type[Model], list[Any]] = defaultdict(list)
        self._befores: dict[type[Model], list[Values]] = defaultdict(list)
        self._known: dict[type[Model], dict[Any, Any]] = {}

    def track(self, records: Sequence[Any], befores: Sequence[Values] | None = None) -> None:
        """Records of one model, and what they were, where that is known already."""
        if records:
            model = type(records[0])
            self._records[model] += records
            self._befores[model] += values_of(records) if befores is None else befores

    def known(self, record: Model) -> Any:
        """The same row as it was tracked before, or else this one, which is tracked from now on."""
        model = type(record)
        if model not in self._known:
            self._known[model] = {each.pk: each for each in self._records[model]}
        if record.pk not in self._known[model]:
            self._known[model][record.pk] = record
            self.track([record])
        return self._known[model][record.pk]

    def changes(self, left_out: set[int]) -> Iterator[Change]:
        """By model and by the attributes that changed, without the records whose `id()` is in `left_out`."""
        for model, records in self._records.items():
            befores = self._befores[model]
            kept = [i for i, record in enumerate(records) if id(record) not in left_out] if left_out else None
            if kept is not None:
                records, befores = [records[i] for i in kept], [befores[i] for i in kept]
            if records:
                yield from _changes(model, records, befores)


def _changes(model: type[Model], records: Sequence[Any], befores: Sequence[Values]) -> Iterator[Change]:
    names = attributes(model)
    old, new = list(zip(*befores, strict=True)), list(zip(*_now(records, names), strict=True))
    differing: dict[str, list[int]] = {}
    for name, was, now in zip(names, old, new, strict=True):
        if was != now:
            differing[name] = [i for i, (a, b) in enumerate(zip(was, now, strict=True)) if a is not b and a != b]
            if any(was[i] is _MISSING for i in differing[name]):
                raise TypeError(f"'{name}' was deferred when the record was read: nobody knows what it was.")
    columns = {name: (was, now) for name, was, now in zip(names, old, new, strict=True) if differing.get(name)}
    keys = old[names.index(model._meta.pk.attname)]
    for group, rows in _grouped(differing).items():
        picked = [[[column[i] for i in rows] for column in columns[name]] for name in group]
        olds, news = ([pair[side] for pair in picked] for side in (0, 1))
        yield Change(model, group, [records[i] for i in rows], [keys[i] for i in rows], olds, news)


def _grouped(differing: dict[str, list[int]]) -> dict[tuple[str, ...], Sequence[int]]:
    """The rows by the attributes that differ in them."""
    if len(differing) == 1:
        return {(name,): rows for name, rows in differing.items() if rows}
    by_row: dict[int, tuple[str, ...]] = {}
    for name, rows in differing.items():
        for row in rows:
            by_row[row] = (*by_row.get(row, ()), name)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in sorted(by_row):
        groups[by_row[row]].append(row)
    return dict(groups)


def values_of(records: Sequence[Any]) -> list[Values]:
    """What they are now; a copy of what can be changed in place."""
    model: Any = type(records[0])
    names, places = attributes(model), changeable(model)
    rows = _now(records, names)
    return [_copied(row, places) for row in rows] if places else rows


def _now(records: Sequence[Any], names: Sequence[str]) -> list[Values]:
    try:
        return [tuple([values[name] for name in names]) for values in [record.__dict__ for record in records]]
    except KeyError:  # something was deferred
        return [tuple([record.__dict__.get(name, _MISSING) for name in names]) for record in records]


def _copied(row: Values, places: Sequence[int]) -> Values:
    return tuple(deepcopy(value) if place in places else value for place, value in enumerate(row))


@cache
def attributes(model: Any) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


@cache
def fields_of(model: Any) -> dict[str, Field[Any, Any]]:
    return {field.attname: field for field in model._meta.concrete_fields}


@cache
def changeable(model: Any) -> tuple[int, ...]:
    """The places of attributes whose value may be changed in place."""
    kinds = {"JSONField", "ArrayField", "HStoreField"}
    return tuple(i for i, field in enumerate(model._meta.concrete_fields) if field.get_internal_type() in kinds)
