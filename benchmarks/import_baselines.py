"""What an import is measured against, each alone in a process: `python -m benchmarks.import_baselines blocks FILE`."""

from __future__ import annotations

import csv
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib import import_module
from pathlib import Path

_IMPORTED = {"blocks": ["uploads.layout", "uploads.sources.delimited"], "duckdb": ["duckdb"], "reader": []}


def blocks(path: Path, folder: Path) -> int:
    """The same cutting, parsing, tallying and writing as the operation's, one block ahead too, without an operation.

    The rejects go to a file, as somebody must find them.
    """
    from uploads.batches import tallied
    from uploads.column_types import TypeTally
    from uploads.layout import inspect
    from uploads.parts import write_part
    from uploads.reading_ahead import one_ahead
    from uploads.sources.delimited import DelimitedSource
    from uploads.table_schema import Schema

    layout, rows = inspect(path, path.name), 0
    read = tallied(DelimitedSource(path, layout, Schema()).batches(None), TypeTally(layout.columns))
    with (folder / "rejects.csv").open("w", newline="") as file, one_ahead(read) as batches:
        rejects = csv.writer(file)
        for number, (batch, _) in enumerate(batches):
            write_part(batch.table, folder / f"{number:06d}.parquet")
            rejects.writerows(vars(reject).values() for reject in batch.rejects)
            rows += batch.table.num_rows
    return rows


def duckdb(path: Path, folder: Path) -> int:
    """Its COPY from CSV to Parquet, on one thread as each of our processes, with types that it finds by itself."""
    import duckdb

    engine = duckdb.connect(config={"threads": 1})
    engine.execute(f"COPY (FROM read_csv('{path}')) TO '{folder / 'all.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    return int(engine.execute(f"SELECT count(*) FROM '{folder / 'all.parquet'}'").fetchall()[0][0])


def reader(path: Path, folder: Path) -> int:
    """What people write by hand: `csv.reader`, the types by name, a list of what does not fit; nothing is stored."""
    kinds = {"id": int, "quantity": int, "price": float, "active": "true".__eq__, "day": date.fromisoformat}
    good, bad = 0, []
    csv.field_size_limit(sys.maxsize)  # a stray quote swallows rows until the next one, and the reader would give up
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.reader(line.replace("\0", "") for line in file)
        header = next(rows)
        read: list[Callable[[str], object]] = [kinds.get(name, str) for name in header]
        for row in rows:
            try:
                [to(value) if value else None for to, value in zip(read, row, strict=True)]
                good += 1
            except ValueError as error:
                bad.append((rows.line_num, str(error)))
    return good


def measured(name: str, path: Path) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="lro-bench-"))
    for module in _IMPORTED[name]:
        import_module(module)  # a worker has them since its first import
    try:
        began, cpu = time.perf_counter(), time.process_time()
        rows = {"blocks": blocks, "duckdb": duckdb, "reader": reader}[name](path, folder)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        shutil.rmtree(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak}


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], Path(sys.argv[2]))))
