"""Inputs that only `run` may see: everybody else is shown a mask in their place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from django.http import QueryDict
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.serializers import DictField, JSONField, ListField, ListSerializer, Serializer

from ..exceptions import Problem

if TYPE_CHECKING:
    from .operations import OperationTask

Path = tuple[str, ...]
MASK = "•••"
#: What is shorter stands in many a text by chance.
_SHORTEST = 4


def paths(cls: type[OperationTask]) -> frozenset[Path]:
    """Where its secrets are: the names of `cls.secrets`, and the password fields of its serializer.

    Raises `ImproperlyConfigured` for a name that the serializer does not have.
    """
    return _paths(cast(Any, cls))  # mypy takes no class for hashable


@cache
def _paths(cls: Any) -> frozenset[Path]:
    if isinstance(cls.secrets, str):
        raise ImproperlyConfigured(f"{cls.__name__}.secrets is a tuple of names, not the text '{cls.secrets}'.")
    named = frozenset(tuple(name.split(".")) for name in cls.secrets)
    if cls.input_serializer is None:
        return named
    serializer = cls.input_serializer()
    stored = frozenset(_stored_at(cls, serializer, path) for path in named)
    return named | stored | frozenset(_declared(serializer, ()))


def _stored_at(cls: type[OperationTask], field: Any, path: Path) -> Path:
    """A field may be stored under another name than it is sent by: its `source`."""
    stored: Path = ()
    for index, name in enumerate(path):
        while isinstance(field, (ListSerializer, ListField)):
            field = field.child
        if isinstance(field, (DictField, JSONField)):
            return (*stored, *path[index:])
        if not isinstance(field, Serializer) or name not in field.fields:
            raise ImproperlyConfigured(f"{cls.__name__} has no input '{'.'.join(path)}' that could be secret.")
        field = field.fields[name]
        stored = (*stored, *field.source_attrs)
    return stored


def _declared(field: Any, at: Path) -> Iterator[Path]:
    if field.style.get("input_type") == "password":
        yield at
    elif isinstance(field, Serializer):
        for each in field.fields.values():
            yield from _declared(each, (*at, *each.source_attrs))
    elif isinstance(field, (ListSerializer, ListField)):
        yield from _declared(field.child, at)
    elif isinstance(field, DictField) and any(_declared(field.child, at)):
        yield at


def shown(cls: type[OperationTask] | None, data: dict[str, Any]) -> dict[str, Any]:
    """The input as it may be shown. Where the class is gone nobody knows what of it was secret."""
    masked: Any = data
    for path in [(name,) for name in data] if cls is None else paths(cls):
        masked = _masked(masked, path)
    return dict(masked)


def _masked(value: Any, path: Path) -> Any:
    if not path:
        return value if value is None else MASK
    if isinstance(value, list):
        return [_masked(each, path) for each in value]
    if isinstance(value, dict) and path[0] in value:
        return {**value, path[0]: _masked(value[path[0]], path[1:])}
    return value


def redactor(cls: type[OperationTask] | None, data: Any) -> Callable[[Any], Any]:
    """What takes the secrets of this input out of the words of an error, and out of lists and objects of them."""
    found = [] if cls is None else [text for path in paths(cls) for text in _texts(_at(data, path))]
    spelled = {form for text in found for form in _spellings(text)}
    secrets = sorted(spelled, key=len, reverse=True)  # one may be a part of another

    def redact(said: Any) -> Any:
        if isinstance(said, ErrorDetail):
            return ErrorDetail(redact(str(said)), said.code)
        if isinstance(said, str):
            for secret in secrets:
                said = said.replace(secret, MASK)
            return said
        if isinstance(said, (list, tuple)):
            return [redact(each) for each in said]
        if isinstance(said, Mapping):
            return {key: redact(value) for key, value in said.items()}
        return said

    return redact if secrets else lambda said: said


def _at(value: Any, path: Path) -> Any:
    if not path:
        return value
    if isinstance(value, list):
        return [_at(each, path) for each in value]
    if isinstance(value, QueryDict):
        return value.getlist(".".join(path))
    return _at(value[path[0]], path[1:]) if isinstance(value, Mapping) and path[0] in value else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (list, Mapping)):
        each: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        for one in each:
            yield from _texts(one)
    elif value is not None and not isinstance(value, bool) and len(str(value)) >= _SHORTEST:
        yield str(value)


def _spellings(text: str) -> set[str]:
    """As it is, in the `repr` of a traceback, in JSON, and in an address."""
    return {text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(text), quote(text, safe="")}


@contextmanager
def redacted(cls: type[OperationTask], data: Any) -> Iterator[None]:
    """Within it, what is said against this input does not repeat its secrets."""
    try:
        yield
    except ValidationError as error:
        error.detail = redactor(cls, data)(error.detail)
        raise
    except Problem as problem:
        redact = redactor(cls, data)
        problem.message, problem.errors = redact(problem.message), redact(problem.errors)
        problem.args = (problem.message,)
        raise
