"""Where the items of an `ItemOperation` come from, and how the next ones are found again after a crash."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import QuerySet

#: An item with its key: the primary key as text, or the index.
Keyed = tuple[Any, Any]
_END = object()


@dataclass(frozen=True, slots=True)
class Place:
    """How far the items are done: the checkpoint's cursor."""

    done: int = 0
    #: The key of the last one that is done, where the items are rows.
    after: Any = None
    rejected: int = 0
    total: int | None = None
    #: What a dry run showed of its first items.
    sample: list[dict[str, Any]] = field(default_factory=list)


class Rows:
    """A queryset by keyset on its primary key: each batch is a query of its own, as quick at the end as at the start.

    A row that is inserted where the place has passed is not seen, one ahead of it is; a deleted one is gone.
    """

    is_keyed = True

    def __init__(self, rows: QuerySet[Any]) -> None:
        _refuse_what_has_no_place(rows)
        self._rows = rows.using(DEFAULT_DB_ALIAS).order_by("pk")
        self._rows.query.standard_ordering = True  # `reverse` outlives `order_by`
        self._key = rows.model._meta.pk
        #: `select_for_update` is for the batch's own transaction.
        self.is_locking = rows.query.select_for_update

    def take(self, place: Place, limit: int, seconds: float) -> list[Keyed]:
        rows = self._rows
        if place.after is not None:
            rows = rows.filter(pk__gt=self._key.to_python(place.after))
        # A join may give a row several times, one after the other.
        return list({self._key.value_to_string(row): row for row in rows[:limit]}.items())

    def give_back(self, rest: list[Keyed]) -> None:
        """They are read anew, as others may change or delete them meanwhile."""

    def as_stored(self, key: Any, item: Any) -> Any:
        return self._rows.model._base_manager.using(DEFAULT_DB_ALIAS).filter(pk=self._key.to_python(key)).first()


class Iterated:
    """Anything else that can be iterated, by index: it must give the same items in the same order every time."""

    is_keyed = False
    is_locking = False

    def __init__(self, items: Iterable[Any], again: Callable[[], Iterable[Any]], check: Callable[[], None]) -> None:
        self._items: Iterable[Any] | None = items
        self._again, self._check = again, check
        self._iterator: Iterator[Any] = iter(())
        self._rest: deque[Any] = deque()
        self._next = -1

    def take(self, place: Place, limit: int, seconds: float) -> list[Keyed]:
        if self._next != place.done:
            self._open(place.done)
        self._next = -1  # a generator that raises is at its end
        deadline, taken = time.monotonic() + seconds, list[Keyed]()
        while len(taken) < limit and (not taken or time.monotonic() < deadline):
            self._check()
            item = self._rest.popleft() if self._rest else next(self._iterator, _END)
            if item is _END:
                break
            taken.append((place.done + len(taken), item))
        self._next = place.done + len(taken)
        return taken

    def give_back(self, rest: list[Keyed]) -> None:
        """What the batch did not come to is the first of the next one."""
        self._rest.extendleft(item for _, item in reversed(rest))
        self._next -= len(rest)

    def as_stored(self, key: Any, item: Any) -> Any:
        return item

    def _open(self, index: int) -> None:
        """Begin anew: a batch that is tried again must not see what the first try made of its items."""
        items, self._items = self._again() if self._items is None else self._items, None
        self._rest.clear()
        if isinstance(items, Sequence):
            self._iterator = (items[i] for i in range(index, len(items)))
            return
        self._iterator = iter(items)
        for _ in range(index):
            self._check()
            next(self._iterator, None)


def source_of(again: Callable[[], Any], check: Callable[[], None]) -> Rows | Iterated:
    items = again()
    return Rows(items) if isinstance(items, QuerySet) else Iterated(items, again, check)


def count(items: Any) -> int | None:
    """How many there are, where that can be known without taking them."""
    if isinstance(items, QuerySet):
        return items.count()
    return len(items) if isinstance(items, Sized) else None


def _refuse_what_has_no_place(rows: QuerySet[Any]) -> None:
    if rows.query.is_sliced or rows.query.combinator or getattr(rows, "_fields", None) is not None:
        raise TypeError(
            "items() must return a queryset of whole rows, without a slice, union() or values(); "
            "or list(…) of it, where it is small."
        )
    if router.db_for_write(rows.model) != DEFAULT_DB_ALIAS:
        raise TypeError(
            f"{rows.model.__name__} is stored in another database than the operations, so no transaction "
            "holds both; return keys from items(), and let process() be harmless when it is repeated."
        )
