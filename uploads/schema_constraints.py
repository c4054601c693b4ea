"""What the values of a column must fulfil, proven to be usable before any row is read."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from .refusals import Refusal

_WHOLE_FILE = ("unique", "primaryKey", "foreignKeys", "uniqueKeys")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_LENGTHS = ("minLength", "maxLength")
_ORDERED = ("integer", "number", "date", "datetime")
_CONSTRAINTS = ("required", "enum", "pattern", *_BOUNDS, *_LENGTHS)
WORDS = ("title", "description", "example", "rdfType", "name", "$schema")


def constraint(kind: str, name: str, value: Any, at: str) -> Any:
    """The constraint `name` of a column of that type, as JSON. Raises Refusal."""
    if name not in _CONSTRAINTS:
        raise _unknown(name, at, "A constraint", _CONSTRAINTS)
    fits = {
        "required": True,
        "enum": True,
        "pattern": kind == "string",
        **dict.fromkeys(_LENGTHS, kind == "string"),
        **dict.fromkeys(_BOUNDS, kind in _ORDERED),
    }
    if not fits[name]:
        raise refusal("unsupported_schema", at, f"A {kind} field has no constraint '{name}'.")
    return _CHECKS[name](kind, value, at)


def refuse_contradiction(checked: Mapping[str, Any], at: str) -> None:
    """Raise Refusal for bounds that no value is within."""
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength")):
        if low in checked and high in checked and checked[low] > checked[high]:
            text = f"No value fits: {low} is {checked[low]}, and {high} {checked[high]}."
            raise refusal("bad_schema", f"{at}/{high}", text)


def _required(kind: str, value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        raise refusal("bad_schema", at, "required is true or false.")
    return value


def _length(kind: str, value: Any, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise refusal("bad_schema", at, "A length is a whole number, 0 or more.")
    return value


def _pattern(kind: str, value: Any, at: str) -> str:
    """Linear in the text, whatever the pattern: no look-around and no back-references. pyarrow judges it later."""
    if not isinstance(value, str) or len(value) > 1000:
        raise refusal("bad_regex", at, "A pattern is a regular expression of at most 1,000 characters.")
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array(["a"]), f"^(?:{value})$")
    except pa.ArrowInvalid as error:
        text = str(error).removeprefix("Invalid regular expression: ")
        raise refusal("bad_regex", at, f"The pattern cannot be used: {text}.") from None
    return value


def _values(kind: str, value: Any, at: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise refusal("bad_schema", at, "enum is a list of values.")
    return [_value(kind, one, f"{at}/{index}") for index, one in enumerate(value)]


def _value(kind: str, value: Any, at: str) -> Any:
    """A bound or a permitted value, as JSON, proven to be of the type."""
    try:
        return _READERS[kind](value)
    except (TypeError, ValueError, OverflowError):
        article = "an" if kind == "integer" else "a"
        raise refusal("bad_schema", at, f"{value!r:.100} is not {article} {kind}.") from None


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()) or abs(int(value)) >= 2**63:
        raise ValueError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError(value)
    return float(value)


def _boolean(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError(value)
    return str(value).lower() == "true"


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": lambda value: date.fromisoformat(value).isoformat(),
    "datetime": lambda value: datetime.fromisoformat(value).isoformat(),
}
_CHECKS: dict[str, Callable[[str, Any, str], Any]] = {
    "required": _required,
    "enum": _values,
    "pattern": _pattern,
    **dict.fromkeys(_LENGTHS, _length),
    **dict.fromkeys(_BOUNDS, _value),
}


def refuse_unknown(given: Mapping[str, Any], allowed: Sequence[str], at: str, what: str) -> None:
    for name in given:
        if name not in allowed:
            raise _unknown(name, f"{at}/{name}", what, allowed)


def _unknown(name: str, at: str, what: str, allowed: Sequence[str]) -> Refusal:
    shown = ", ".join(word for word in allowed if word not in WORDS)
    reason = "; only the whole file can tell that: validate the dataset" if name in _WHOLE_FILE else ""
    text = f"'{name}' is not supported{reason}. {what} has {shown}."
    return refusal("unsupported_schema", at, text)


def nearest(name: str, known: Sequence[str]) -> str:
    """The end of a message about a name that is not among those known."""
    near = difflib.get_close_matches(name[:100], known, n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def refusal(code: str, at: str, message: str) -> Refusal:
    return Refusal(code, message, [{"pointer": f"/schema{re.sub('/+', '/', at)}", "message": message}])
