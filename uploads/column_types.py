"""What the values of a column are: inferred over all of them, and cast exactly.

Type words are those of Table Schema: string, integer, number, boolean, date, datetime. An empty value
is null and fits every type. Inference is strict, so that nothing is lost by the cast: "007" and "+5"
stay strings, as do 17 digits and more beside decimals. A declared type is read a little wider (leading zeros, a plus
sign before a decimal number, 1 and 0 as booleans).
Dates are ISO 8601. A datetime is `YYYY-MM-DD[T ]HH[:MM[:SS[.ffffff]]]` with or without a zone, stored
in UTC without one; a value without a zone is taken as UTC, and inference wants a column all of one kind.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

TYPES = ("string", "integer", "number", "boolean", "date", "datetime")
ARROW_TYPES: dict[str, Any] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
}
_SHAPES = {
    "integer": r"^-?[0-9]+$",
    "number": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    "boolean": r"^(?i:true|false|1|0)$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "datetime": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?$",
}
_BOOLEANS = pa.array(["true", "false", "True", "False", "TRUE", "FALSE"])
# Leading zeros, plus signs and more digits than a float keeps: numbers by form, not by use.
_CODE_LIKE = r"^\+|^-?0[0-9]|^-?[0-9]{17,}$"
_EXACT_INTEGERS = 10**16
_EXACT_AS_FLOAT = 2**53 + 1
_SAMPLE = 16
_ZONED = pa.timestamp("us", "UTC")
#: Narrower first: the first that still fits is the column's type.
CANDIDATES = ("integer", "number", "boolean", "date", "datetime", "datetime_zoned")

#: What a text may still be where numbers and booleans are told from texts by the file itself.
TEXT_DATES = CANDIDATES[3:]


class TypeTally:
    """What all values so far fit, per column; a column known to be text is not looked at again.

    Columns may come later, null until then. Text is tried for `text_types`; a column that comes typed is known.
    Tallies of parts merge to the tally of the whole, in any order.
    """

    def __init__(self, columns: Sequence[str] = (), text_types: tuple[str, ...] = CANDIDATES) -> None:
        self.rows = 0
        self.text_types = text_types
        self.nulls = dict.fromkeys(columns, 0)
        self.fits: dict[str, tuple[str, ...]] = dict.fromkeys(columns, CANDIDATES)

    def add(self, table: pa.Table) -> None:
        """Count in the columns of a table; a column that it lacks is null in its rows."""
        for name in self.nulls.keys() - set(table.column_names):
            self.nulls[name] += table.num_rows
        for name, column in zip(table.column_names, table.columns, strict=True):
            self._meet(name)
            self.nulls[name] += column.null_count
            if self.fits[name] and column.null_count < len(column):
                self.fits[name] = self._fitting(column, self.fits[name])
        self.rows += table.num_rows

    def _meet(self, name: str) -> None:
        if name not in self.fits:
            self.nulls[name], self.fits[name] = self.rows, CANDIDATES

    def _fitting(self, column: pa.ChunkedArray, candidates: tuple[str, ...]) -> tuple[str, ...]:
        if not pa.types.is_string(column.type):
            return tuple(kind for kind in candidates if kind in _fits_of_typed(column))
        texts = tuple(kind for kind in candidates if kind in self.text_types)
        # A cast that fails costs the more, the more values fail: a few settle most columns.
        sample = column.slice(0, _SAMPLE).drop_null()
        likely = _still_fitting(sample, texts) if len(sample) else texts
        return _still_fitting(column, likely)

    def merge(self, other: "TypeTally") -> None:
        """Count in what another tally saw."""
        for name in other.fits:
            self._meet(name)
            self.fits[name] = tuple(kind for kind in self.fits[name] if kind in other.fits[name])
        for name in self.nulls:
            self.nulls[name] += other.nulls.get(name, other.rows)
        self.rows += other.rows

    def copy(self) -> "TypeTally":
        """One that further rows do not change."""
        return self.from_json(self.to_json())

    def result(self) -> dict[str, str]:
        """The type word of each column; a column without any value is a string."""
        return {name: self._type(name) for name in self.fits}

    def _type(self, name: str) -> str:
        if self.nulls[name] == self.rows or not self.fits[name]:
            return "string"
        return self.fits[name][0].removesuffix("_zoned")

    def to_json(self) -> dict[str, Any]:
        digits = {name: "".join(str(CANDIDATES.index(kind)) for kind in fits) for name, fits in self.fits.items()}
        return {
            "rows": self.rows,
            "text_types": list(self.text_types),
            "names": list(digits),
            "nulls": [self.nulls[name] for name in digits],
            "fits": list(digits.values()),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "TypeTally":
        tally = cls(stored["names"], tuple(stored["text_types"]))
        tally.rows = stored["rows"]
        tally.nulls = dict(zip(stored["names"], stored["nulls"], strict=True))
        fits = (tuple(CANDIDATES[int(digit)] for digit in digits) for digits in stored["fits"])
        tally.fits = dict(zip(stored["names"], fits, strict=True))
        return tally


def cast(table: Any, types: Mapping[str, str]) -> Any:
    """A stored table of strings (pyarrow Table, or polars LazyFrame, lazily) with columns of `types`.

    Raises ValueError (of polars: ComputeError) for a value that does not fit.
    """
    if not isinstance(table, pa.Table):
        return _cast_lazily(table, types)
    for index, name in enumerate(table.column_names):
        kind = types.get(name, "string")
        column, failed = convert(table.column(name), kind)
        if failed:
            raise ValueError(f"Column {name}, row {failed[0]}: not {article(kind)}.")
        table = table.set_column(index, name, column)
    return table


def known(column: pa.ChunkedArray, kind: str) -> pa.Array:
    """`column` as `kind`, which a tally found that all its values fit. Raises pyarrow.ArrowInvalid."""
    return _cast_all(column.combine_chunks(), kind)


def absent(rows: int, kind: str) -> pa.Array:
    """A column of nulls."""
    return pa.nulls(rows, ARROW_TYPES[kind])


def convert(column: pa.ChunkedArray, kind: str) -> tuple[pa.Array, list[int]]:
    """`column` (strings) as `kind`, null where a value does not fit, and the rows of those, ascending."""
    values = column.combine_chunks()
    if kind == "string":
        return values, []
    shaped = pc.match_substring_regex(values, _SHAPES[kind])
    cast_values = _cast_each(pc.if_else(shaped, values, None), kind)
    if kind == "number":
        cast_values = pc.if_else(pc.is_finite(cast_values), cast_values, None)
    if cast_values.null_count == values.null_count:
        return cast_values, []
    failed = pc.and_(pc.is_null(cast_values), pc.is_valid(values))
    return cast_values, pc.indices_nonzero(failed).to_pylist()


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of any type as the text that its values are written as."""
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def article(kind: str) -> str:
    """A type word as a message says it: "an integer"."""
    return f"an {kind}" if kind == "integer" else f"a {kind}"


def _cast_each(values: pa.Array, kind: str) -> pa.Array:
    """Cast what fits, by halves: few values of the right shape fail (32-bit days, 20-digit integers)."""
    try:
        return _cast_all(values, kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, ARROW_TYPES[kind])
    middle = len(values) // 2
    return pa.concat_arrays([_cast_each(values[:middle], kind), _cast_each(values[middle:], kind)])


def _cast_all(values: pa.Array, kind: str) -> pa.Array:
    if kind != "datetime":
        return pc.cast(values, ARROW_TYPES[kind])
    try:
        return pc.cast(values, ARROW_TYPES[kind])
    except pa.ArrowInvalid:
        return pc.cast(pc.cast(values, _ZONED), ARROW_TYPES[kind])


def _cast_lazily(frame: Any, types: Mapping[str, str]) -> Any:
    import polars as pl

    words = {"integer": pl.Int64, "number": pl.Float64, "boolean": pl.Boolean, "date": pl.Date}

    def to_series(series: Any, kind: str) -> Any:
        table = pa.table({"value": series.to_arrow().cast(pa.string())})
        return pl.from_arrow(cast(table, {"value": kind}).column("value").combine_chunks())

    return frame.with_columns(
        pl.col(name).map_batches(partial(to_series, kind=kind), return_dtype=words.get(kind, pl.Datetime("us")))
        for name, kind in types.items()
        if kind != "string"
    )


def _fits_of_typed(column: pa.ChunkedArray) -> tuple[str, ...]:
    """The candidates that a column which comes in a type of its own fits; its values need no look."""
    if pa.types.is_integer(column.type):
        return ("integer", "number") if _keeps_as_float(column, _EXACT_AS_FLOAT) else ("integer",)
    kinds = {pa.float64(): ("number",), pa.bool_(): ("boolean",), pa.date32(): ("date", "datetime")}
    return kinds.get(column.type, ("datetime", "datetime_zoned"))


def _still_fitting(column: pa.ChunkedArray, candidates: tuple[str, ...]) -> tuple[str, ...]:
    if candidates[:2] == ("integer", "number"):
        integers = _integers(column)
        if integers is not None:
            return ("integer", "number") if _keeps_as_float(integers) else ("integer",)
        candidates = candidates[1:]
    if candidates[:1] == ("date",) and _fits(column, "date"):
        return tuple(kind for kind in candidates if kind in ("date", "datetime"))
    return tuple(kind for kind in candidates if _fits(column, kind))


def _fits(column: pa.ChunkedArray, kind: str) -> bool:
    if kind == "integer":
        return _integers(column) is not None
    if kind == "boolean":
        return bool(pc.all(pc.is_in(column.drop_null(), _BOOLEANS)).as_py())
    target = _ZONED if kind == "datetime_zoned" else ARROW_TYPES[kind]
    try:
        values = pc.cast(column, target)
    except pa.ArrowInvalid:
        return False
    return kind != "number" or _plain_numbers(column, values)


def _integers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as int64 if every value is an integer in its one canonical form."""
    try:
        integers = pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return None
    return integers if pc.all(pc.equal(pc.cast(integers, pa.string()), column)).as_py() else None


def _keeps_as_float(integers: pa.ChunkedArray, limit: int = _EXACT_INTEGERS) -> bool:
    span = pc.min_max(integers).as_py()
    return bool(span["min"] > -limit and span["max"] < limit)


def _plain_numbers(column: pa.ChunkedArray, values: pa.ChunkedArray) -> bool:
    if not pc.all(pc.is_finite(values)).as_py():
        return False
    return not pc.any(pc.match_substring_regex(column, _CODE_LIKE)).as_py()
