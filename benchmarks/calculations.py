"""Calculations through the operation, beside the loop that one would write: `python -m benchmarks.calculations`.

The operation runs on a real worker, with its progress, partial results, checkpoints and heartbeat; its time is that of
its attempt. The hand-written loop does the same arithmetic in a process of its own, in turn with the operation.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

OPTION = {"spot": 100, "strike": 105, "rate": 0.03, "volatility": 0.2, "maturity": 1}
_CHUNK = 2**16


def bare_monte_carlo(paths: int) -> None:
    """Price, standard error: chunks that fit a cache, nothing told, nothing saved."""
    rng = np.random.default_rng(1)
    total = squares = 0.0
    for _ in range(paths // _CHUNK):
        final = 100 * np.exp(0.2 * rng.standard_normal(_CHUNK) + (0.03 - 0.02))
        paid = math.exp(-0.03) * np.maximum(final - 105, 0)
        total += paid.sum()
        squares += (paid * paid).sum()
    assert total > 0


def bare_bootstrap(resamples: int, rows: int) -> None:
    values, rng = np.random.default_rng(1).lognormal(0, 1, rows), np.random.default_rng(2)
    step = max(1, _CHUNK // rows)
    found = [
        values[rng.integers(0, rows, (step, rows), dtype=np.uint32)].mean(axis=1) for _ in range(resamples // step)
    ]
    assert len(found)


def bare_describe(folder: Path) -> None:
    """The same figures by duckdb, of which quantiles and distinct values are estimates without a stated error."""
    import duckdb

    duckdb.sql("SET threads = 1")
    duckdb.sql(f"CREATE VIEW own AS SELECT * FROM read_parquet('{folder}/*.parquet')")
    assert duckdb.sql("SUMMARIZE own").fetchall()
    figures = ", ".join(f"{each}({name})" for name in "iabc" for each in ("count", "avg", "stddev_samp", "min", "max"))
    assert duckdb.sql(f"SELECT g, count(*), {figures} FROM own GROUP BY g").fetchall()
    pairs = ", ".join(f"corr({x}, {y})" for x, y in itertools.combinations("iabc", 2))
    assert duckdb.sql(f"SELECT {pairs} FROM own").fetchall()


def timed(name: str, *values: Any) -> float:
    """Seconds of the loop in a process of its own, imports not counted."""
    code = (
        "import os, sys, time, pathlib; os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"
        "from benchmarks import calculations as own\n"
        f"began = time.perf_counter(); own.{name}({', '.join(map(repr, values))}); print(time.perf_counter() - began)"
    ).replace("PosixPath", "pathlib.PosixPath")
    return float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()[-1]
    )


def through(stack: Any, kind: str, **data: Any) -> tuple[float, Any]:
    """Seconds of the operation's attempt, and its row."""
    identifier = stack.client().post(f"/calculations/{kind}", json=data).json()["id"]
    row = stack.await_end(identifier, within=600)
    assert row.state == "succeeded", row.error
    return (row.finished_at - row.started_at).total_seconds(), row


def compare(runs: int, bare: Callable[[], float], own: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both, and of the ratios of neighbouring runs."""
    pairs = [(bare(), own()) for _ in range(runs)]
    return median(b for b, _ in pairs), median(o for _, o in pairs), median(b / o for b, o in pairs)


def write_table(path: Path, rows: int) -> None:
    rng = np.random.default_rng(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["i", "a", "b", "c", "g"])
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            columns = [
                np.arange(start, start + count).tolist(),
                *(rng.lognormal(3, 1, count).round(2).tolist() for _ in range(3)),
                rng.choice(["red", "green", "blue"], count).tolist(),
            ]
            writer.writerows(zip(*columns, strict=True))


def peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main(arguments: list[str]) -> int:
    from tests.end_to_end.stack import running

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=400_000_000)
    parser.add_argument("--resamples", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with running() as stack:
        measure_simulation(stack, options)
        measure_dataset(stack, options)
    return 0


def show(name: str, unit: str, amount: float, figures: tuple[float, float, float]) -> None:
    bare, own, ratio = figures
    print(
        f"{name:<12} by hand {amount / bare / 1e6:8.2f} M {unit}/s   LRO {amount / own / 1e6:8.2f}   ratio {ratio:.2f}"
    )


def measure_simulation(stack: Any, options: argparse.Namespace) -> None:
    data = {"option": OPTION, "paths": options.paths, "seed": 1}
    for _ in range(3):  # each child of the worker has imported the libraries
        through(stack, "monte-carlo", option=OPTION, paths=1_000_000, shards=4)
    own = lambda: through(stack, "monte-carlo", **data)[0]  # noqa: E731
    show(
        "monte-carlo",
        "paths",
        options.paths,
        compare(options.runs, lambda: timed("bare_monte_carlo", options.paths), own),
    )


def measure_dataset(stack: Any, options: argparse.Namespace) -> None:
    path = stack.folder / "table.csv"
    write_table(path, options.rows)
    types = '{"i": "integer", "a": "number", "b": "number", "c": "number"}'
    dataset = stack.await_end(stack.upload(stack.client(), path, types=types)["id"], within=600).result["dataset"]
    folder = Path(stack.files.path(f"datasets/{dataset}"))
    peaks: list[float] = []
    for _ in range(3):
        through(stack, "describe", dataset=dataset, columns=["g"], shards=4)

    def described() -> float:
        seconds, row = through(stack, "describe", dataset=dataset, group_by="g", correlation=True)
        peaks.append(
            peak_mib(int(stack.operation(str(row.pk)).attempts.using("stack").last().worker.rsplit("/", 1)[1]))
        )
        return seconds

    show("describe", "rows", options.rows, compare(options.runs, lambda: timed("bare_describe", folder), described))
    print(f"{'':<12} peak of the worker's process {max(peaks):.0f} MiB")
    sample, rows = stack.folder / "sample.csv", 5_000
    write_table(sample, rows)
    dataset = stack.await_end(stack.upload(stack.client(), sample, types=types)["id"]).result["dataset"]
    data = {"dataset": dataset, "column": "a", "resamples": options.resamples, "seed": 1}
    own = lambda: through(stack, "bootstrap", **data)[0]  # noqa: E731
    draws = options.resamples * rows
    show(
        "bootstrap",
        "draws",
        draws,
        compare(options.runs, lambda: timed("bare_bootstrap", options.resamples, rows), own),
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    began = time.monotonic()
    django.setup()
    status = main(sys.argv[1:])
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(status)
