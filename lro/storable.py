"""What may enter a JSON column, told before the database refuses it in the middle of a transaction."""

from __future__ import annotations

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from .exceptions import InvalidValue


def storable(value: Any, *, what: str, max_bytes: int) -> Any:
    """`value` as plain JSON data. Raises `InvalidValue` for what JSON, or PostgreSQL's jsonb, cannot hold."""
    try:
        text = json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"The {what} is not JSON: {error}") from error
    if len(text) > max_bytes:
        raise InvalidValue(f"The {what} has {len(text):,} bytes, {max_bytes:,} are allowed; write an artifact instead.")
    if "\\u0000" in text:
        raise InvalidValue(f"The {what} contains U+0000, which the database cannot store.")
    found = json.loads(text)
    if "\\ud" in text and not is_text(json.dumps(found, ensure_ascii=False)):
        raise InvalidValue(f"The {what} contains half of a surrogate pair, which the database cannot store.")
    return found


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def cleaned(text: str) -> str:
    """What of a text the database can store, and JSON can hold."""
    return text.replace("\0", "�").encode(errors="replace").decode()
