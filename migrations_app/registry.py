"""Which data migrations the installed apps declare."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured

from .declaration import DataMigration

Class = TypeVar("Class", bound=type[DataMigration])

_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9-]*")
_classes: dict[str, type[DataMigration]] = {}


def data_migration(name: str) -> Callable[[Class], Class]:
    """Declare a class as the data migration `name`, `subject.what-it-does`."""
    if not _NAME.fullmatch(name):
        raise ImproperlyConfigured(f"'{name}' is no name of a data migration; it must look like 'shop.round-prices'.")

    def declare(cls: Class) -> Class:
        known = _classes.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ImproperlyConfigured(f"The data migration '{name}' is declared twice: by {known!r} and by {cls!r}.")
        cls.name = name
        _classes[name] = cls
        return cls

    return declare


def find(name: str) -> type[DataMigration] | None:
    return _classes.get(name)


def nearest(name: str) -> str:
    """The name that was perhaps meant, or nothing."""
    return next(iter(difflib.get_close_matches(name, _classes, n=1)), "")


def all_migrations() -> Iterator[type[DataMigration]]:
    yield from (_classes[name] for name in sorted(_classes))
