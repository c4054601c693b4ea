"""Text columns read as numbers, dates or booleans: null where a cell is none, never an error."""

from __future__ import annotations

import polars as pl

_NUMBER = r"\A[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\z"
_INTEGER = r"\A[+-]?[0-9]+\z"
_DATE = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z"
_DATETIME = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?\z"
)


def numbers_in(text: pl.Expr) -> pl.Expr:
    """Finite numbers."""
    number = _shaped(text, _NUMBER).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def integers_in(text: pl.Expr) -> pl.Expr:
    return _shaped(text, _INTEGER).str.strip_prefix("+").cast(pl.Int64, strict=False)


def booleans_in(text: pl.Expr) -> pl.Expr:
    word = text.str.to_lowercase()
    return pl.when(word.is_in(["true", "1"])).then(True).when(word.is_in(["false", "0"])).then(False)


def dates_in(text: pl.Expr) -> pl.Expr:
    return _shaped(text, _DATE).str.to_date("%Y-%m-%d", strict=False)


def moments_in(text: pl.Expr) -> pl.Expr:
    """ISO 8601 dates and datetimes, in UTC without zone; a value without a zone is taken as UTC."""
    shaped = _shaped(text, _DATETIME).str.replace(" ", "T", literal=True)
    zoned = shaped.str.replace(r"Z\z", "+0000").str.replace(r"([+-][0-9]{2}):([0-9]{2})\z", "$1$2")
    is_zoned = shaped.str.contains(r"T.*(Z|[+-][0-9]{2}:?[0-9]{2})\z")
    with_zone, plain = pl.when(is_zoned).then(zoned), pl.when(~is_zoned).then(shaped)
    return pl.coalesce(
        _parsed(plain, "%Y-%m-%dT%H:%M:%S%.f"),
        _parsed(plain, "%Y-%m-%dT%H:%M"),
        _parsed(with_zone, "%Y-%m-%dT%H:%M:%S%.f%z").dt.replace_time_zone(None),
        _parsed(with_zone, "%Y-%m-%dT%H:%M%z").dt.replace_time_zone(None),
        plain.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
    )


READERS = {
    "integer": integers_in,
    "number": numbers_in,
    "boolean": booleans_in,
    "date": dates_in,
    "datetime": moments_in,
}


def _parsed(text: pl.Expr, form: str) -> pl.Expr:
    return text.str.to_datetime(form, strict=False, time_unit="us")


def _shaped(text: pl.Expr, shape: str) -> pl.Expr:
    return pl.when(text.str.contains(shape)).then(text).otherwise(None)
