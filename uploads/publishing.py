"""A dataset as a table of the database, by COPY: whole or not at all, in a schema of its own.

Rows go to a staging table, each part in one transaction with the checkpoint, so that a killed run goes on where it was;
one last transaction gives the table its name, or its rows to the one that there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DataError, IntegrityError, InternalError, NotSupportedError, OperationalError, connection

from lro import Fail, Operation, OperationContext, datasets

from .refusals import Refusal

IF_EXISTS = ("fail", "replace", "append")
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp with time zone",
}
#: Columns that every table of PostgreSQL has already.
_SYSTEM = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
_MAX_COLUMNS, _MAX_NAME_BYTES = 1600, 63
_STAGING = "_staging_"
#: Whoever reads the table that is to be replaced is waited for so long; then the attempt is tried again later.
_LOCK_TIMEOUT = "10s"


def schema_name() -> str:
    return str(settings.UPLOADS.get("PUBLISH_SCHEMA", "datasets"))


def check(table: str, columns: Sequence[dict[str, str]], if_exists: str) -> None:
    """Raises Refusal for what cannot be published, before any row is copied; again in `run`, as tables come and go."""
    if connection.vendor != "postgresql":
        message = "Datasets are published by COPY, which needs PostgreSQL; download the dataset instead."
        raise Refusal("unsupported_database", message, [{"pointer": "/dataset"}])
    _check_columns(columns)
    known = _columns_of(table)
    if not known or if_exists == "replace":
        return
    if if_exists == "fail":
        message = f"There is a table {schema_name()}.{table} already; choose another name, or replace or append."
        raise Refusal("table_exists", message, [{"pointer": "/table"}])
    wanted = {column["name"]: _TYPES[column["type"]] for column in columns}
    for name in [*wanted, *known]:
        if wanted.get(name) != known.get(name):
            ours, theirs = wanted.get(name, "missing"), known.get(name, "missing")
            message = f"The column {name} is {theirs} in the table and {ours} in the dataset; rows cannot be appended."
            raise Refusal("table_mismatch", message, [{"pointer": "/table"}])


def _check_columns(columns: Sequence[dict[str, str]]) -> None:
    if len(columns) > _MAX_COLUMNS:
        message = f"A table has at most {_MAX_COLUMNS:,} columns, the dataset has {len(columns):,}."
        raise Refusal("too_many_columns", message, [{"pointer": "/dataset"}])
    for column in columns:
        name = column["name"]
        if len(name.encode()) > _MAX_NAME_BYTES or name in _SYSTEM:
            problem = "is a name that PostgreSQL keeps for itself" if name in _SYSTEM else "is longer than 63 bytes"
            message = f"The column name '{name}' {problem}; import the file with another header."
            raise Refusal("bad_column_name", message, [{"pointer": "/dataset"}])


class Publication:
    """One run of it. Every statement stands in the transaction of a checkpoint."""

    def __init__(self, op: OperationContext, dataset: datasets.Dataset, table: str, if_exists: str) -> None:
        self.op, self.dataset, self.table, self.if_exists = op, dataset, table, if_exists
        self.columns = dataset.columns
        self.staging = staging_name(op.id)

    def run(self) -> dict[str, Any]:
        sweep()
        self.op.defer("uploads.drop-staging", operation=str(self.op.id))
        try:
            self._copy()
            self.op.step("publish")
            if not self.op.cursor.get("published"):
                done = {**self.op.cursor, "published": True}
                self.op.checkpoint(done, save=self._publish)
        except Refusal as refusal:
            drop(self.staging)
            raise Fail(refusal.code, refusal.message) from refusal
        return {"table": f"{schema_name()}.{self.table}", "rows": self.op.cursor["rows"], "columns": self.columns}

    def _copy(self) -> None:
        self.op.step("copy")
        if self.op.cursor is None:
            check(self.table, self.columns, self.if_exists)
            self.op.checkpoint({"part": 0, "rows": 0}, save=self._create)
        sizes = self.dataset.part_rows
        for part in range(self.op.cursor["part"], len(sizes)):
            rows = self.op.cursor["rows"] + sizes[part]
            content = self._as_csv(part)
            self.op.checkpoint({"part": part + 1, "rows": rows}, save=partial(self._fill, content))
            self.op.progress(rows, self.dataset.rows, unit="rows")

    def _as_csv(self, part: int) -> memoryview:
        """Texts are quoted and nulls are not, so that an empty text is none."""
        import pyarrow as pa
        import pyarrow.csv as pa_csv

        from .parts import arrow_schema

        schema = arrow_schema(self.columns)
        sink = pa.BufferOutputStream()
        table = self.dataset.read(part).select(schema.names).cast(schema)
        pa_csv.write_csv(table, sink, pa_csv.WriteOptions(include_header=False))
        return memoryview(sink.getvalue())

    def _create(self) -> None:
        _execute("CREATE SCHEMA IF NOT EXISTS {}", schema_name())
        _execute("DROP TABLE IF EXISTS {}", _place(self.staging))
        _execute("CREATE TABLE {} ({})", _place(self.staging), [(c["name"], _TYPES[c["type"]]) for c in self.columns])

    def _fill(self, content: memoryview) -> None:
        from psycopg import sql

        statement = sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(_place(self.staging))
        try:
            with connection.wrap_database_errors, connection.cursor() as cursor:
                cursor.execute("SET LOCAL TimeZone = 'UTC'")
                with cursor.cursor.copy(statement) as copy:
                    copy.write(content)
        except (DataError, OperationalError) as error:
            is_final = isinstance(error, DataError) or _exceeds_a_limit(error)
            if not is_final:
                raise
            reason = str(error).partition("\n")[0]
            raise Refusal("not_storable", f"PostgreSQL does not take a value: {reason}.") from error

    def _publish(self) -> None:
        check(self.table, self.columns, self.if_exists)
        target, staging = _place(self.table), _place(self.staging)
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        try:
            if self.if_exists == "append" and _columns_of(self.table):
                names = [(column["name"], "") for column in self.columns]
                _execute("INSERT INTO {} ({}) SELECT {} FROM {}", target, names, names, staging)
                _execute("DROP TABLE {}", staging)
            else:
                _execute("DROP TABLE IF EXISTS {}", target)
                _execute("ALTER TABLE {} RENAME TO {}", staging, self.table)
        except (DataError, IntegrityError, InternalError, NotSupportedError) as error:
            reason = str(error).partition("\n")[0]
            raise Refusal("table_not_changed", f"The table {schema_name()}.{self.table} stays: {reason}.") from error


def _exceeds_a_limit(error: OperationalError) -> bool:
    """As a row that no page holds does: it will be so the next time, too."""
    return str(getattr(error.__cause__, "sqlstate", None)).startswith("54")


def staging_name(operation: UUID) -> str:
    return f"{_STAGING}{operation.hex}"


def drop(staging: str) -> None:
    if connection.vendor == "postgresql":
        _execute("DROP TABLE IF EXISTS {}", _place(staging))


def drop_unless_needed(operation: str) -> None:
    """After an attempt: what is tried again, or resumed, goes on with its staging table."""
    row = Operation.objects.filter(pk=operation).first()
    if row is None or row.is_terminal or row.state == "cancelling":
        drop(staging_name(UUID(operation)))


def sweep() -> None:
    """Drop the staging tables whose operations ended without another attempt."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND starts_with(tablename, %s)",
            [schema_name(), _STAGING],
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        drop_unless_needed(str(UUID(name.removeprefix(_STAGING))))


def _columns_of(table: str) -> dict[str, str]:
    """The columns of a published table and their types; none where there is no such table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
            [schema_name(), table],
        )
        return dict(cursor.fetchall())


def _place(table: str) -> Any:
    from psycopg import sql

    return sql.Identifier(schema_name(), table)


def _execute(statement: str, *parts: Any) -> None:
    """`parts` are names, places, or lists of columns, each with its type or none."""
    from psycopg import sql

    def composed(part: Any) -> Any:
        if isinstance(part, str):
            return sql.Identifier(part)
        return _listed(part) if isinstance(part, list) else part

    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(*map(composed, parts)))


def _listed(columns: Iterable[tuple[str, str]]) -> Any:
    from psycopg import sql

    return sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns)
