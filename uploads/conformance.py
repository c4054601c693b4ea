"""What of a table fits its schema: rows whose values all do, and for each other row the first that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from .column_types import ARROW_TYPES, article, as_text, convert
from .repairs import LOST
from .table_schema import STRING_FORMATS, Field, Schema

_SHOWN = 100


class Misfit(NamedTuple):
    """The row (from 0) and column of a value that does not fit, the code of the reject, and what is wrong."""

    row: int
    column: str
    code: str
    problem: str


def enforce(table: pa.Table, schema: Schema) -> tuple[pa.Table, list[Misfit]]:
    """The rows that fit, columns of the schema in their types; and the first misfit of every other row, ascending."""
    misfits = dict[int, Misfit]()
    if len(schema.missing_values) > 1:
        table = _without_missing(table, schema.missing_values)
    for name, field in schema.items():
        if field.constraints.get("required") and name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    rows = table.num_rows
    for index, name in enumerate(table.column_names):
        if name in schema:
            values, found = _column(name, as_text(table.column(name)).combine_chunks(), schema[name])
            for misfit in found:
                misfits.setdefault(misfit.row, misfit)
            table = table.set_column(index, name, values)
    if misfits:
        table = table.filter(pa.array(row not in misfits for row in range(rows)))
    return table, [misfits[row] for row in sorted(misfits)]


def unrepaired(table: pa.Table) -> tuple[pa.Table, list[Misfit]]:
    """The rows of a file that was to be repaired without those that still hold what could not be shown."""
    misfits = dict[int, Misfit]()
    rows = table.num_rows
    for name in table.column_names:
        lost = pc.fill_null(pc.match_substring(table.column(name), LOST), False)
        for row in pc.indices_nonzero(lost).to_pylist():
            misfits.setdefault(row, Misfit(row, name, "not_repaired", "a character is still missing (\ufffd)."))
    if misfits:
        table = table.filter(pa.array(row not in misfits for row in range(rows)))
    return table, [misfits[row] for row in sorted(misfits)]


def _without_missing(table: pa.Table, missing: tuple[str, ...]) -> pa.Table:
    words = pa.array(missing, pa.string())
    for index, name in enumerate(table.column_names):
        column = table.column(name)
        if pa.types.is_string(column.type):
            table = table.set_column(index, name, pc.if_else(pc.is_in(column, words), None, column))
    return table


def _column(name: str, text: pa.Array, field: Field) -> tuple[pa.Array, list[Misfit]]:
    values, failed = _read(text, field)
    wrong = f"is not {article(field.type)}" + ("" if field.format == "default" else f" ({field.format})")
    found = [Misfit(row, name, "type_error", f"{_shown(text[row])} {wrong}.") for row in failed]
    for bad, problem in _broken(values, text, field):
        rows = pc.indices_nonzero(pc.fill_null(bad, False)).to_pylist()
        found += [Misfit(row, name, "constraint_error", problem(row)) for row in rows]
    return values, found


# Reading text as a type


def _read(text: pa.Array, field: Field) -> tuple[pa.Array, list[int]]:
    """The column in its type, null where a value does not fit, and the rows of those."""
    if field.type == "string":
        pattern = STRING_FORMATS.get(field.format)
        misses = pc.fill_null(pc.invert(pc.match_substring_regex(text, pattern)), False) if pattern else None
        return text, [] if misses is None else pc.indices_nonzero(misses).to_pylist()
    if field.format != "default":
        values = _by_pattern(text, field)
    elif field.reading:
        values = _by_reading(text, field)
    else:
        return convert(pa.chunked_array([text]), field.type)
    failed = pc.and_(pc.is_null(values), pc.is_valid(text))
    return values, pc.indices_nonzero(failed).to_pylist()


def _by_pattern(text: pa.Array, field: Field) -> pa.Array:
    """Python reads each different text: pyarrow takes 31 February for 2 March."""
    different = pc.dictionary_encode(text)
    words = [_moment(word, field) for word in different.dictionary.to_pylist()]
    return pa.array(words, ARROW_TYPES[field.type]).take(different.indices)


def _moment(word: str, field: Field) -> date | None:
    try:
        moment = datetime.strptime(word, field.format)
    except ValueError:
        return None
    if field.type == "date":
        return moment.date()
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _by_reading(text: pa.Array, field: Field) -> pa.Array:
    if field.type == "boolean":
        yes = pa.array(field.reading.get("trueValues", ["true", "True", "TRUE", "1"]))
        no = pa.array(field.reading.get("falseValues", ["false", "False", "FALSE", "0"]))
        is_true = pc.and_(pc.is_in(text, yes), pc.is_valid(text))
        return pc.if_else(is_true, True, pc.if_else(pc.is_in(text, no), False, pa.scalar(None, pa.bool_())))
    group, mark = field.reading.get("groupChar", ""), field.reading.get("decimalChar", ".")
    plain = pc.replace_substring(text, group, "") if group else text
    if mark != ".":
        # A dot that is left is none of this number's characters.
        plain = pc.if_else(pc.match_substring(plain, "."), "", plain)
        plain = pc.replace_substring(plain, mark, ".", max_replacements=1)
    return convert(pa.chunked_array([plain]), field.type)[0]


# Constraints

Broken = tuple[Any, Callable[[int], str]]


def _broken(values: pa.Array, text: pa.Array, field: Field) -> Iterator[Broken]:
    """For each constraint which rows break it, and what is wrong with one."""
    if field.constraints.get("required"):
        yield pc.is_null(text), lambda row: "a value is required, but there is none."
    for name, wanted in field.constraints.items():
        if name in _TESTS:
            broken, words = _TESTS[name](values, wanted, field)
            yield broken, lambda row, words=words: f"{_shown(text[row])} {words}."  # type: ignore[misc]


def _bound(compare: Any, words: str) -> Any:
    def test(values: pa.Array, wanted: Any, field: Field) -> tuple[Any, str]:
        return compare(values, _scalar(wanted, field)), f"is {words} {wanted}"

    return test


def _length(compare: Any, words: str) -> Any:
    def test(values: pa.Array, wanted: int, field: Field) -> tuple[Any, str]:
        return compare(pc.utf8_length(values), wanted), f"has {words} {wanted} characters"

    return test


def _enum(values: pa.Array, wanted: list[Any], field: Field) -> tuple[Any, str]:
    known = pa.array([_scalar(value, field).as_py() for value in wanted], ARROW_TYPES[field.type])
    shown = ", ".join(str(value) for value in wanted[:20]) + (", …" if len(wanted) > 20 else "")
    return pc.and_(pc.invert(pc.is_in(values, known)), pc.is_valid(values)), f"is none of {shown}"


def _pattern(values: pa.Array, wanted: str, field: Field) -> tuple[Any, str]:
    return pc.invert(pc.match_substring_regex(values, f"^(?:{wanted})$")), f"does not match {wanted}"


def _scalar(value: Any, field: Field) -> pa.Scalar:
    if field.type == "date":
        value = date.fromisoformat(value)
    elif field.type == "datetime":
        value = datetime.fromisoformat(value)
        value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return pa.scalar(value, ARROW_TYPES[field.type])


def _shown(value: pa.Scalar) -> str:
    text = (value.as_py() or "").replace("\0", "\ufffd")
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[:_SHOWN]}…'"


_TESTS: dict[str, Any] = {
    "minimum": _bound(pc.less, "less than"),
    "maximum": _bound(pc.greater, "more than"),
    "exclusiveMinimum": _bound(pc.less_equal, "not more than"),
    "exclusiveMaximum": _bound(pc.greater_equal, "not less than"),
    "minLength": _length(pc.less, "fewer than"),
    "maxLength": _length(pc.greater, "more than"),
    "enum": _enum,
    "pattern": _pattern,
}
