"""Downloads that are made while they are sent: the rejects to repair, and a dataset as one file."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from channels.db import database_sync_to_async
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from lro import Operation

from .layout import Layout
from .models import Dataset, Upload
from .repairs import BadRow, Repair, Rereading

_PAGE = 1000
_RESERVED = '/\\:*?"<>|'
_FIELDS = ("position", "offset", "code", "message", "raw")


def repair_file(operation: Operation) -> StreamingHttpResponse:
    """The rejects of an import of delimited text, in its dialect; see `repairs`."""
    layout = Layout.from_json(operation.input["layout"])
    path = Upload(pk=operation.input["upload"]).path
    ending = "tsv" if layout.delimiter == "\t" else "csv"
    name = f"rejects-{operation.pk}.{ending}"
    return _streamed(lambda: _repair(operation, layout, path), name, "text/csv; charset=utf-8")


def _repair(operation: Operation, layout: Layout, path: Path) -> Iterator[bytes]:
    with Rereading(path, layout.compression) if path.exists() else nullcontext() as source:
        repair = Repair(layout, source)
        yield repair.head().encode()
        last = -1
        while page := list(operation.rejects.filter(position__gt=last).values_list(*_FIELDS)[:_PAGE]):
            yield repair.rows(BadRow(*row) for row in page).encode()
            last = page[-1][0]


def dataset_file(dataset: Dataset, kind: str) -> StreamingHttpResponse:
    """A whole dataset, as `csv` or `parquet`, in the columns' types."""
    name = _file_name(dataset.name.rpartition(".")[0] or dataset.name)
    if kind == "csv":
        return _streamed(lambda: _as_csv(dataset), f"{name}.csv", "text/csv; charset=utf-8")
    return _streamed(lambda: _as_parquet(dataset), f"{name}.parquet", "application/vnd.apache.parquet")


def _as_csv(dataset: Dataset) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    from .parts import arrow_schema, typed_parts

    tables = chain([arrow_schema(dataset.columns).empty_table()], typed_parts(dataset))
    for index, table in enumerate(tables):
        sink = pa.BufferOutputStream()
        pa_csv.write_csv(table, sink, pa_csv.WriteOptions(include_header=index == 0))
        yield sink.getvalue().to_pybytes()


def _as_parquet(dataset: Dataset) -> Iterator[bytes]:
    """A row group for each part: no more than one is in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .parts import arrow_schema, typed_parts

    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), arrow_schema(dataset.columns), compression="zstd") as writer:
        for table in typed_parts(dataset):
            writer.write_table(table)
            yield sink.take()
    yield sink.take()


def _file_name(label: str) -> str:
    """A dataset's name as one that every system takes for a file: no folders, nothing that is not shown."""
    shown = "".join("_" if c in _RESERVED or unicodedata.category(c)[0] == "C" else c for c in label)
    return shown.strip(" .") or "dataset"


class _Sink(io.RawIOBase):
    """What was written and not yet taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        self._position += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def _streamed(pieces: Callable[[], Iterator[bytes]], name: str, content_type: str) -> StreamingHttpResponse:
    told = content_disposition_header(True, name) or ""
    headers = {"Content-Disposition": told, "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(_async(pieces()), content_type=content_type, headers=headers)


async def _async(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece is made in Django's thread, so that no request waits for another's download."""
    following = database_sync_to_async(lambda: next(pieces, None))
    while (piece := await following()) is not None:
        yield piece
