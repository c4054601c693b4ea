"""Where the records of a step come from: by key, a batch at a time, as quick at the end as at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import QuerySet

from lro import Fail

from .loading import load
from .tracking import Values


@dataclass(frozen=True, slots=True)
class Taken:
    """Some records with their keys as text, and what they were when they were read, where they are rows."""

    keys: Sequence[str]
    records: list[Any]
    befores: Sequence[Values] | None = None

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Range:
    """The keys of a shard: behind `after`, up to and with `until`; None: from the start, to the end."""

    after: str | None = None
    until: str | None = None


EVERYTHING, NOTHING = Range(), Taken([], [])


class Source(Protocol):
    def take(self, after: str | None, limit: int) -> Taken: ...
    def again(self, keys: Sequence[str]) -> Taken:
        """These records as they are now; those that are gone are left out."""

    def count(self) -> int: ...
    def borders(self, parts: int) -> list[str]:
        """The last keys of all parts but the last one, each with about the same number of records."""


class Rows:
    """A queryset by its primary key. A row that is inserted behind the place is not seen, one ahead of it is."""

    def __init__(self, rows: QuerySet[Any], keys: Range = EVERYTHING) -> None:
        _refuse_what_has_no_place(rows)
        self.model = rows.model
        self._key = rows.model._meta.pk
        self._rows = rows.using(DEFAULT_DB_ALIAS).order_by("pk")
        self._rows.query.standard_ordering = True  # `reverse` outlives `order_by`
        self._all = self._rows
        if keys.after is not None:
            self._rows = self._rows.filter(pk__gt=self._key.to_python(keys.after))
        if keys.until is not None:
            self._rows = self._rows.filter(pk__lte=self._key.to_python(keys.until))

    def take(self, after: str | None, limit: int) -> Taken:
        rows = self._rows if after is None else self._rows.filter(pk__gt=self._key.to_python(after))
        return self._keyed(rows[:limit])

    def again(self, keys: Sequence[str]) -> Taken:
        return self._keyed(self._all.filter(pk__in=[self._key.to_python(key) for key in keys]))

    def count(self) -> int:
        return self._rows.count()

    def borders(self, parts: int) -> list[str]:
        total, keys = self.count(), self._rows.values_list("pk", flat=True)
        places = [total * part // parts - 1 for part in range(1, parts)] if total >= parts else []
        return [str(keys[place]) for place in places]

    def _keyed(self, rows: QuerySet[Any]) -> Taken:
        """A join may give a row several times, one after the other."""
        attribute = self._key.attname
        records, befores = load(rows)
        keys = [str(record.__dict__[attribute]) for record in records]
        if len(set(keys)) < len(keys):
            last = {key: index for index, key in enumerate(keys)}.values()
            return Taken([keys[i] for i in last], [records[i] for i in last], [befores[i] for i in last])
        return Taken(keys, records, befores)


class Table:
    """A dataset by the index of its rows, each a dict. Reads one part at a time."""

    model = None

    def __init__(self, dataset: Any, keys: Range = EVERYTHING) -> None:
        self._dataset = dataset
        self._lengths = list(dataset.part_rows)
        self._ends = list(accumulate(self._lengths))
        self._first = 0 if keys.after is None else int(keys.after) + 1
        self._end = self._total if keys.until is None else int(keys.until) + 1
        self._part: tuple[int, Any] = (-1, None)

    @property
    def _total(self) -> int:
        return self._ends[-1] if self._ends else 0

    def take(self, after: str | None, limit: int) -> Taken:
        start = self._first if after is None else int(after) + 1
        return self._slice(start, min(self._end, start + limit))

    def again(self, keys: Sequence[str]) -> Taken:
        found = [self._slice(int(key), int(key) + 1) for key in keys]
        return Taken([key for each in found for key in each.keys], [row for each in found for row in each.records])

    def count(self) -> int:
        return self._end - self._first

    def borders(self, parts: int) -> list[str]:
        total = self.count()
        return [str(self._first + total * part // parts - 1) for part in range(1, parts)] if total >= parts else []

    def _slice(self, start: int, end: int) -> Taken:
        """Rows of one part: fewer than were asked for where the part ends."""
        part = next((index for index, last in enumerate(self._ends) if start < last), None)
        if part is None or start >= end:
            return NOTHING
        first = self._ends[part] - self._lengths[part]
        table = self._table(part).slice(start - first, min(end, self._ends[part]) - start)
        records = table.to_pylist()
        return Taken([str(start + index) for index in range(len(records))], records)

    def _table(self, part: int) -> Any:
        if self._part[0] != part:
            self._part = (part, self._dataset.read(part))
        return self._part[1]


class Again:
    """Of another source only the records with these keys, in their order."""

    def __init__(self, source: Rows | Table, keys: Sequence[str]) -> None:
        self.model = source.model
        self._source, self._keys = source, list(keys)

    def take(self, after: str | None, limit: int) -> Taken:
        start = 0 if after is None else self._keys.index(after) + 1
        for first in range(start, len(self._keys), limit):
            found = self._source.again(self._keys[first : first + limit])
            if len(found):
                return _in_order(found, self._keys[first : first + limit])
        return NOTHING

    def again(self, keys: Sequence[str]) -> Taken:
        return _in_order(self._source.again(keys), keys)

    def count(self) -> int:
        return len(self._keys)

    def borders(self, parts: int) -> list[str]:
        return []


def _in_order(taken: Taken, keys: Sequence[str]) -> Taken:
    """In that of the keys, so that the place is behind all that were asked for."""
    places = {key: index for index, key in enumerate(taken.keys)}
    order = [places[key] for key in keys if key in places]
    befores = None if taken.befores is None else [taken.befores[i] for i in order]
    return Taken([taken.keys[i] for i in order], [taken.records[i] for i in order], befores)


def source_of(records: Any, keys: Range = EVERYTHING) -> Rows | Table:
    return Rows(records, keys) if isinstance(records, QuerySet) else Table(records, keys)


def _refuse_what_has_no_place(rows: QuerySet[Any]) -> None:
    if rows.query.is_sliced or rows.query.combinator or getattr(rows, "_fields", None) is not None:
        message = "source() must return a queryset of whole rows, without a slice, union() or values()."
        raise Fail("bad_source", message)
    if router.db_for_write(rows.model) != DEFAULT_DB_ALIAS:
        message = f"{rows.model.__name__} is stored in another database than the operations: no transaction holds both."
        raise Fail("bad_source", message)
