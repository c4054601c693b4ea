"""The words in which a rule names a bound: numbers, dates, and times relative to the start of the run."""

from __future__ import annotations

import math
import re
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_RELATIVE = re.compile(r"(today|now)(?:([+-])(\d{1,6}[smhdw]))?")


def is_number(value: Any) -> bool:
    """Whether a float can be near to it: not to infinity, nor to a whole number beyond all floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def span(text: str) -> timedelta:
    """A length of time as `90m`, `36h`, `7d`. Raises ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no length of time; write it as 90m, 36h, 7d or 2w.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def is_moment(value: Any) -> bool:
    """Whether it is a date or time as `moment` reads it."""
    try:
        moment(value, datetime(2000, 1, 1))
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def before(as_of: datetime, text: str) -> datetime:
    """So long before; the earliest of all times where that is before the year 1."""
    try:
        return as_of - span(text)
    except OverflowError:
        return datetime.min


def moment(text: str, as_of: datetime) -> datetime:
    """A date, a datetime (without a zone in UTC), `today` or `now` with an offset such as `-30d`, in UTC without zone.

    Raises ValueError.
    """
    found = _RELATIVE.fullmatch(text)
    if found is None:
        return without_zone(datetime.fromisoformat(text))
    start = as_of if found[1] == "now" else datetime.combine(as_of.date(), datetime.min.time())
    if found[3] is None:
        return start
    try:
        return start + span(found[3]) if found[2] == "+" else start - span(found[3])
    except OverflowError:
        raise ValueError(f"'{text}' is not within the years 1 to 9999.") from None


def without_zone(value: datetime) -> datetime:
    """The same instant in UTC, as datasets keep it."""
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def order_of(value: Any) -> float:
    """A bound as a number, to see whether a minimum is above a maximum; NaN where it moves with the time."""
    if is_number(value):
        return float(value)
    if _RELATIVE.fullmatch(value):
        return math.nan
    return (without_zone(datetime.fromisoformat(value)) - datetime(1970, 1, 1)).total_seconds()


def is_whole_day(text: str) -> bool:
    """Whether a bound names a day and no time of it."""
    if text.startswith("today") and not text.endswith(("s", "m", "h")):
        return True
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
