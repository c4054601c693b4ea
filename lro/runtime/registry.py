"""Which operation names exist, and which class does each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from django.core.exceptions import ImproperlyConfigured

from ..exceptions import UnknownOperation
from . import masking

if TYPE_CHECKING:
    from .operations import OperationTask

Class = TypeVar("Class", bound="type[OperationTask]")

_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9-]*")
_classes: dict[str, type[OperationTask]] = {}


def register(name: str) -> Callable[[Class], Class]:
    """Declare a class as the operation `name`, `module.operation`; its endpoint is `POST /module/operation`."""
    if not _NAME.fullmatch(name):
        raise ImproperlyConfigured(f"'{name}' is no operation name; it must look like 'module.operation'.")

    def declare(cls: Class) -> Class:
        known = _classes.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ImproperlyConfigured(f"'{name}' is registered twice: by {known!r} and by {cls!r}.")
        if cls.secrets:
            masking.paths(cls)  # raises for a name that would mask nothing
        cls.name = name
        _classes[name] = cls
        return cls

    return declare


def find(name: str) -> type[OperationTask]:
    """The class of `name`. Raises `UnknownOperation`, which names the nearest ones."""
    try:
        return _classes[name]
    except KeyError:
        near = difflib.get_close_matches(name, [cls.name for cls in public_classes()], n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UnknownOperation(f"There is no operation '{name}'.{hint}") from None


def known(name: str) -> type[OperationTask] | None:
    """The class of `name`, unless its code is gone."""
    return _classes.get(name)


def all_classes() -> Iterator[type[OperationTask]]:
    yield from (_classes[name] for name in sorted(_classes))


def public_classes() -> Iterator[type[OperationTask]]:
    """Those that a person may start."""
    yield from (cls for cls in all_classes() if not cls.is_internal)


def find_public(name: str) -> type[OperationTask]:
    """The class of `name`. Raises `UnknownOperation` too where only other operations may start it."""
    cls = find(name)
    if cls.is_internal:
        raise UnknownOperation(f"'{name}' is started by other operations only.")
    return cls
