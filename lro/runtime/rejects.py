"""The rows of what could not be processed, and the news of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from ..models import Reject

_COLUMNS = ("position", "offset", "column", "code", "message", "raw")


def row(
    position: int, code: str, message: str, *, column: str = "", raw: str = "", offset: int | None = None
) -> dict[str, Any]:
    """The columns of a reject, made storable."""
    return {
        "position": position,
        "offset": offset,
        "column": column[:255].replace("\0", "�"),
        "code": code,
        "message": message.replace("\0", "�"),
        "raw": raw[:1024].replace("\0", "�"),
    }


def news(rejects: list[dict[str, Any]], total: int) -> dict[str, Any]:
    """What the event of new rejects tells: how many, how many in all, and the first few."""
    sample = [{name: reject[name] for name in ("position", "code", "message")} for reject in rejects[:5]]
    return {"count": len(rejects), "total": total, "sample": sample}


def insert(operation_id: UUID, rejects: Sequence[dict[str, Any]]) -> None:
    """Write rows that `row` made, in the caller's transaction."""
    if connection.vendor == "postgresql":
        _copy(operation_id, rejects)
    else:
        Reject.objects.bulk_create((Reject(operation_id=operation_id, **reject) for reject in rejects), batch_size=1000)


def _copy(operation_id: UUID, rejects: Sequence[dict[str, Any]]) -> None:
    """A dirty file has thousands: COPY takes them at a tenth of what a model object of each costs."""
    if not rejects:
        return
    from psycopg import sql

    names = sql.SQL(", ").join(map(sql.Identifier, ("operation_id", *_COLUMNS)))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(Reject._meta.db_table), names)
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.cursor.copy(statement) as copy:
        for reject in rejects:
            copy.write_row((operation_id, *(reject[name] for name in _COLUMNS)))
