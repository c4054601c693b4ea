"""Eighteen rules over five million rows through the real operation, beside one bare polars query and pandera.

Each is measured in a process of its own, in turn, with one thread: the time from the claim to the result (reports,
events and checkpoints included), and the most memory that the process held.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

WAYS = ("operation", "polars", "pandera")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--part-rows", type=int, default=17_000, help="as an import makes them of such rows")
    parser.add_argument("--text", action="store_true", help="columns stored as text, as where no types were declared")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.way:
        print(json.dumps(_measured(options.way, json.loads(options.data))))
        return 0
    with tempfile.TemporaryDirectory(prefix="lro-bench-") as folder:
        os.environ["LRO_DATA_DIR"] = folder
        from config.embedded import serving

        with serving():
            _compare(options, _prepare(options))
    return 0


def _prepare(options: argparse.Namespace) -> dict[str, Any]:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth import get_user_model

    from benchmarks import orders
    from uploads.models import Dataset

    owner = get_user_model().objects.create_user("bench")
    table, customers = orders.make(options.rows, options.part_rows, owner, is_text=options.text)
    row = Dataset.objects.get(pk=table)
    types = {column["name"]: column["type"] for column in row.columns}
    return {
        "orders": str(table),
        "customers": str(customers),
        "paths": [str(path) for path in row.paths()],
        "types": types if options.text else {},
    }


def _compare(options: argparse.Namespace, data: dict[str, Any]) -> None:
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(options.runs):
        for way in WAYS:
            runs[way].append(_in_a_process(way, data))
    assert runs["operation"][0]["failed"] == runs["polars"][0]["failed"], runs
    kind = "stored as text" if options.text else "stored in their types"
    print(f"{options.rows:,} rows, 18 rules, columns {kind}, one thread; medians of {options.runs}\n")
    print("| | million rows a second | seconds | processor | peak memory |", "|---|---|---|---|---|", sep="\n")
    for way in WAYS:
        seconds, cpu, peak = (median(run[key] for run in runs[way]) for key in ("seconds", "cpu", "peak"))
        print(f"| {way} | {options.rows / seconds / 1e6:.2f} | {seconds:.2f} s | {cpu:.2f} s | {peak:.0f} MB |")
    for clock in ("seconds", "cpu"):
        pairs = zip(runs["operation"], runs["polars"], strict=True)
        ratios = ", ".join(f"{bare[clock] / ours[clock]:.2f}" for ours, bare in pairs)
        print(f"\nspeed beside bare polars by {clock}, run by run: {ratios}")
    print(f"of the operation's time, reading the parts: {median(run['reading'] for run in runs['operation']):.2f} s")


def _in_a_process(way: str, data: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.validations", "--way", way, "--data", json.dumps(data)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def _measured(way: str, data: dict[str, Any]) -> dict[str, Any]:
    import django

    django.setup()
    found = {"operation": _operation, "polars": _polars, "pandera": _pandera}[way](data)
    return {**found, "peak": _peak_mb()}


def _peak_mb() -> float:
    """Since this program was started: `ru_maxrss` would count what the parent held before."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


class Clock:
    """Wall and processor time; on a machine that others use too, the latter is the steadier."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def taken(self) -> dict[str, float]:
        return {"seconds": time.perf_counter() - self.wall, "cpu": time.process_time() - self.cpu}


def _operation(data: dict[str, Any]) -> dict[str, Any]:
    from django.contrib.auth import get_user_model

    from benchmarks import orders
    from lro.models import Operation
    from lro.runtime import executor, submission
    from validations import batches

    spent = {"reading": 0.0}
    read = batches.read

    def timed(*arguments: Any) -> Any:
        began = time.perf_counter()
        frame = read(*arguments)
        spent["reading"] += time.perf_counter() - began
        return frame

    batches.read = timed
    owner = get_user_model().objects.get()
    request = {"dataset": data["orders"], "rules": orders.rules(data["customers"]), "rows_per_child": 10**9}
    identifier = submission.submit("validations.run", request, owner).operation.pk
    clock = Clock()
    executor.execute(identifier)
    taken = clock.taken()
    operation = Operation.objects.get(pk=identifier)
    assert operation.state == "succeeded", operation.error
    failed = [each["failed"] for each in operation.result["outcomes"] if each["rule"] not in ("null_share", "mean")]
    return {**taken, "failed": failed, **spent}


def _polars(data: dict[str, Any]) -> dict[str, Any]:
    """All rules in one query over all the parts."""
    import polars as pl

    from benchmarks import orders

    customers = pl.Series(range(orders.CUSTOMERS))
    c = pl.col
    clock = Clock()
    frame = pl.scan_parquet(data["paths"])
    if data["types"]:
        words = {"integer": pl.Int64, "number": pl.Float64, "date": pl.Date, "string": pl.String}
        frame = frame.with_columns(c(name).cast(words[kind]) for name, kind in data["types"].items() if kind != "date")
        frame = frame.with_columns(c("ordered", "shipped").str.to_date("%Y-%m-%d"))
    is_returned = (c("status") == "returned").fill_null(False)
    sums = [
        c("id").is_null(),
        c("id").is_not_null() & ~c("id").is_first_distinct(),
        c("sku").is_null(),
        ~c("sku").str.contains(r"\A(?:SKU-[0-9]{6})\z"),
        ~c("email").str.contains(r"\A(?:[a-z0-9.]+@[a-z]+\.(org|com))\z"),
        ~c("country").is_in(orders._COUNTRIES),
        ~c("status").is_in(orders._STATUSES),
        ~c("quantity").is_between(1, 99),
        c("price") < 0,
        c("price") > 1000,
        ~c("discount").is_between(0, 0.5),
        ~c("ordered").is_between(date(2020, 1, 1), date(2025, 12, 31)),
        c("shipped") < c("ordered"),
        is_returned & ~((c("quantity") > 0) & (c("price") > 0)),
        c("note").str.len_chars() > 20,
        ~c("customer").is_in(customers.implode()),
    ]
    row = frame.select(
        *(each.sum().alias(str(index)) for index, each in enumerate(sums)),
        c("note").null_count().alias("nulls"),
        c("price").mean().alias("mean"),
    ).collect()
    return {**clock.taken(), "failed": list(row.row(0))[: len(sums)]}


def _pandera(data: dict[str, Any]) -> dict[str, Any]:
    """The same rules as pandera's checks, as many as it has, on the whole table."""
    import pandera.polars as pa
    import polars as pl

    from benchmarks import orders

    schema = pa.DataFrameSchema(
        {
            "id": pa.Column(None, nullable=False, unique=True),
            "sku": pa.Column(None, pa.Check.str_matches(r"^SKU-[0-9]{6}$"), nullable=False),
            "email": pa.Column(None, pa.Check.str_matches(r"^[a-z0-9.]+@[a-z]+\.(org|com)$")),
            "country": pa.Column(None, pa.Check.isin(orders._COUNTRIES)),
            "status": pa.Column(None, pa.Check.isin(orders._STATUSES)),
            "quantity": pa.Column(None, pa.Check.in_range(1, 99)),
            "price": pa.Column(None, [pa.Check.ge(0), pa.Check.le(1000)]),
            "discount": pa.Column(None, pa.Check.in_range(0, 0.5)),
            "ordered": pa.Column(None, pa.Check.in_range(date(2020, 1, 1), date(2025, 12, 31))),
            "note": pa.Column(None, pa.Check.str_length(max_value=20), nullable=True),
        },
    )
    clock = Clock()
    frame = pl.read_parquet(data["paths"])
    if data["types"]:
        words = {"integer": pl.Int64, "number": pl.Float64, "string": pl.String}
        casts = [pl.col(name).cast(words[kind]) for name, kind in data["types"].items() if kind != "date"]
        frame = frame.with_columns(*casts, pl.col("ordered", "shipped").str.to_date("%Y-%m-%d"))
    with suppress(pa.errors.SchemaErrors):  # there are mistakes
        schema.validate(frame, lazy=True)
    return clock.taken()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main(sys.argv[1:]))
