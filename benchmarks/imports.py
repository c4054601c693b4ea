"""A large dirty CSV through the real operation, beside what people would use instead: `make bench`.

One run of everything gives one row of ratios; the medians are printed. Rejects must equal the generator's truth.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.uploads.generator import Truth, write_dirty_csv

_BARS = (
    ("one process against duckdb, 1 thread, clean twin", "operation", "duckdb", 0.5),
    ("one process against a typed csv.reader loop", "operation", "reader", 1.2),
    ("the operation against the bare block loop", "operation", "blocks", 0.95),
    ("two children against one process on one processor", "children", "one_processor", 1.4),
)


class Run(NamedTuple):
    rows: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def speed(self) -> float:
        return self.rows / self.seconds


def baseline(name: str, path: Path, rows: int) -> Run:
    command = [sys.executable, "-m", "benchmarks.import_baselines", name, str(path)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Run(rows, told["seconds"], told["cpu_seconds"], told["peak_mb"])


def operation(stack: Any, path: Path, truth: Truth, rows: int, **fields: str) -> Run:
    """The attempt's own time, from its claim to its end; processor time and peak of the pool that did it."""
    before = sum(_cpu_seconds(pid) for pid in _pool(stack))
    identifier = stack.upload(stack.client(), path, **fields)["id"]
    ended = stack.await_end(identifier, within=600)
    assert ended.state == "succeeded", ended.error
    found = list(ended.rejects.using("stack").order_by("position").values_list("position", "code"))
    assert found == truth.rejects, f"{len(found)} rejects, {len(truth.rejects)} are true"
    pool = _pool(stack)
    cpu = sum(_cpu_seconds(pid) for pid in pool) - before
    seconds = (ended.finished_at - ended.started_at).total_seconds()
    return Run(rows, seconds, cpu, max(_peak_mb(pid) for pid in pool))


@contextmanager
def on_one_processor(stack: Any) -> Iterator[None]:
    """One process reads ahead in a thread, so two processors are in use already: what do more processes add?"""
    everywhere = os.sched_getaffinity(0)
    _pin(stack, {min(everywhere)})
    try:
        yield
    finally:
        _pin(stack, everywhere)


def _pin(stack: Any, processors: set[int]) -> None:
    for pid in _pool(stack):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), processors)


def _pool(stack: Any) -> list[int]:
    worker = stack.pid("worker1")
    return [int(pid) for pid in Path(f"/proc/{worker}/task/{worker}/children").read_text().split()]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def one_round(stack: Any, dirty: Path, clean: Path, truth: Truth, rows: int) -> dict[str, Run]:
    with on_one_processor(stack):
        one_processor = operation(stack, dirty, truth, rows, parallel="1")
    return {
        "one_processor": one_processor,
        "blocks": baseline("blocks", dirty, rows),
        "operation": operation(stack, dirty, truth, rows, parallel="1"),
        "children": operation(stack, dirty, truth, rows, parallel="2"),
        "duckdb": baseline("duckdb", clean, rows),
        "reader": baseline("reader", dirty, rows),
    }


def main(arguments: list[str]) -> int:
    from tests.end_to_end.stack import running

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="lro-bench-") as folder, running() as stack:
        dirty, clean = Path(folder, "dirty.csv"), Path(folder, "clean.csv")
        truth = write_dirty_csv(dirty, options.rows)
        write_dirty_csv(clean, options.rows, bad_share=0)
        rounds = [one_round(stack, dirty, clean, truth, options.rows) for _ in range(options.runs)]
    return _print(rounds, options.rows, len(truth.rejects))


def _print(rounds: list[dict[str, Run]], rows: int, rejects: int) -> int:
    print(f"{rows:,} rows, {rejects:,} rejects, all as the generator made them; medians of {len(rounds)}\n")
    print("| | thousand rows/s | CPU s | peak MB |", "|---|---|---|---|", sep="\n")
    for name in rounds[0]:
        runs = [found[name] for found in rounds]
        speed, cpu, peak = (
            median(getattr(run, field) for run in runs) for field in ("speed", "cpu_seconds", "peak_mb")
        )
        print(f"| {name} | {speed / 1000:.0f} | {cpu:.1f} | {peak:.0f} |")
    print("\n| bar | limit | median | each run | by processor time |", "|---|---|---|---|---|", sep="\n")
    reached = True
    for label, ours, theirs, limit in _BARS:
        ratios = [found[ours].speed / found[theirs].speed for found in rounds]
        reached &= median(ratios) >= limit
        of_cpu = median(found[theirs].cpu_seconds / found[ours].cpu_seconds for found in rounds)
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {label} | {limit} | {median(ratios):.2f} | {each} | {of_cpu:.2f} |")
    return 0 if reached else 1


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
