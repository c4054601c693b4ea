"""What the sender says of a file: its columns by types or a Table Schema, and how many bad rows it may have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lro import Problem

from . import table_schema
from .refusals import Refusal
from .reject_limits import RejectLimit
from .schema_constraints import nearest
from .table_schema import TYPES, Schema

if TYPE_CHECKING:
    from .layout import Layout

_RANGE_BYTES = 64 * 2**20


def declared_schema(data: dict[str, Any], columns: Sequence[str]) -> Schema:
    """The schema, or the one that the types make. Raises Problem 422 with the place."""
    if data.get("types") and data.get("schema"):
        raise _problem("invalid", "/types", "Send types or a schema, not both: a schema has the types.")
    if data.get("schema") is None:
        return Schema.of_types(_known_types(data.get("types") or {}, columns))
    try:
        return table_schema.read(data["schema"], columns)
    except Refusal as refusal:
        raise Problem(422, refusal.code, refusal.message, refusal.details) from refusal


def declared_limit(data: dict[str, Any]) -> RejectLimit:
    """Raises Problem 422."""
    text, on_limit = data.get("max_rejects"), data.get("on_limit")
    if text is None:
        if on_limit is not None:
            raise _problem("invalid", "/on_limit", "on_limit says what happens at max_rejects, which is not given.")
        return RejectLimit()
    try:
        limit = RejectLimit.read(text.strip(), on_limit or "fail")
    except ValueError as error:
        raise _problem("invalid", "/max_rejects", str(error)) from error
    if limit.share is not None and not limit.fails:
        raise _problem("invalid", "/on_limit", "A share cannot stop the recording; give max_rejects as a count.")
    return limit


def declared_ranges(data: dict[str, Any], layout: Layout, size: int) -> int:
    """In how many parts the file is imported at once. Raises Problem 422 where its format has none.

    By default one for each processor, each of at least 64 MiB: less is not worth another process.
    """
    is_divisible = layout.is_delimited and not layout.compression
    wanted: int | None = data.get("parallel")
    if wanted is None:
        return max(1, min(os.cpu_count() or 1, size // _RANGE_BYTES)) if is_divisible else 1
    if wanted > 1 and not is_divisible:
        raise _problem("not_divisible", "/parallel", "Only CSV and TSV files can be imported in parts, not packed.")
    return wanted


def _known_types(types: Any, columns: Sequence[str]) -> dict[str, str]:
    if not isinstance(types, dict):
        raise _problem("invalid", "/types", "'types' must be an object that maps columns to types.")
    for column, kind in types.items():
        if column not in columns:
            text = f"The file has no column '{column}'.{nearest(column, columns)}"
            raise _problem("unknown_column", f"/types/{column}", text)
        if kind not in TYPES:
            text = f"'{kind}' is no type; the types are {', '.join(TYPES)}."
            raise _problem("unknown_type", f"/types/{column}", text)
    return types


def _problem(code: str, pointer: str, message: str) -> Problem:
    return Problem(422, code, message, [{"pointer": pointer, "message": message}])
