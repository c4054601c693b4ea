"""The rejects of an operation as a CSV download that a spreadsheet opens safely."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

from channels.db import database_sync_to_async
from django.http import StreamingHttpResponse

from ...models import Operation

_COLUMNS = ("position", "offset", "column", "code", "message", "raw")
_PAGE = 2000


def as_csv(operation: Operation) -> StreamingHttpResponse:
    name = f"rejects-{operation.pk}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(_stream(operation), content_type="text/csv; charset=utf-8", headers=headers)


async def _stream(operation: Operation) -> AsyncIterator[str]:
    yield _lines([_COLUMNS])
    position = -1
    while page := await database_sync_to_async(_page)(operation, position):
        yield _lines([[_harmless(value) for value in row] for row in page])
        position = page[-1][0]


def _page(operation: Operation, after: int) -> list[tuple[Any, ...]]:
    return list(operation.rejects.filter(position__gt=after).values_list(*_COLUMNS)[:_PAGE])


def _lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """A cell that a spreadsheet would run as a formula is quoted (OWASP, "CSV Injection")."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
