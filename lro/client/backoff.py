"""How long to wait before the next try: pure numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def full_jitter(failures: int, random: Callable[[], float], *, base: float, cap: float) -> float:
    """Seconds, anything from 0 to a ceiling that doubles with each failure: many clients do not come back at once."""
    return random() * min(cap, base * 2.0 ** min(failures, 32))


def retry_after(header: str | None) -> float | None:
    """Seconds from now, of either form of the `Retry-After` header; None where there is none to be read."""
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
