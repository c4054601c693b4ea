"""What a request says beside the fields of its serializer: a misspelled option must not silently do nothing."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from django.http import QueryDict
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.serializers import ListSerializer, Serializer


def refuse_unknown(serializer: Any, data: Any) -> None:
    """Raise ValidationError with each field that is not there, at its place, and the one that was probably meant.

    Of JSON only: to a form the widgets of a page add fields of their own, as a token, or the name of a file.
    """
    if isinstance(data, QueryDict):
        return
    if found := _unknown(serializer, data):
        raise ValidationError(found)


def _unknown(field: Any, value: Any) -> dict[str, Any]:
    if isinstance(field, ListSerializer) and isinstance(value, list):
        inner = {str(index): _unknown(field.child, one) for index, one in enumerate(value)}
    elif isinstance(field, Serializer) and isinstance(value, Mapping):
        inner = {
            name: _unknown(field.fields[name], one) if name in field.fields else _no_such(str(name), list(field.fields))
            for name, one in value.items()
        }
    else:
        inner = {}
    return {name: errors for name, errors in inner.items() if errors}


def _no_such(name: str, known: list[str]) -> Any:
    near = difflib.get_close_matches(name[:100], known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return [ErrorDetail(f"There is no field '{name[:100]}' here{hint}", "unknown_field")]
