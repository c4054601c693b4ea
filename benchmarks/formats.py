"""What an import reads a second from each format, and the memory that it takes: `make bench`.

Each reading is a process of its own: the head is inspected, every batch is read, its types are tallied, and it is
written as a part, as in a worker; what the database is told is left out. Beside each stands what people use for it,
which only reads: openpyxl, a bare loop of orjson, pyarrow's `iter_batches`, and the same rows as plain CSV.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from statistics import median
from typing import NamedTuple

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett")
COLUMNS = ("id", "quantity", "price", "active", "day", "name", *(f"text_{n}" for n in range(1, 7)))
_BAD_EVERY = 200
_POOL = 50_000
_CHUNK = 20_000


class Reading(NamedTuple):
    rows: int
    seconds: float
    cpu_seconds: float
    megabytes: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Rows for each second of the processor, which others on the machine disturb less."""
        return self.rows / self.cpu_seconds


# The files


def cells() -> list[tuple[int, float, bool, int, tuple[int, ...]]]:
    """Quantity, price, active, day since 1970 and the numbers of six texts, for each of `_POOL` kinds of row."""
    draw = random.Random(5)
    return [
        (
            draw.randint(0, 9999),
            round(draw.uniform(0, 1000), 2),
            draw.random() < 0.5,
            draw.randint(15_000, 20_000),
            tuple(draw.randrange(4 * _POOL) for _ in range(6)),
        )
        for _ in range(_POOL)
    ]


def text(number: int) -> str:
    return f"{WORDS[number % 10]}{number:06}"


def day(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(number * 86_400))


def write_lines(path: Path, rows: int, lines: list[str], head: str = "", bad: str = "") -> None:
    """`lines` in turn, each with `{id}`, and now and then a bad one."""
    with path.open("w", encoding="utf-8") as file:
        file.write(head)
        for first in range(0, rows, _CHUNK):
            numbers = range(first, min(first + _CHUNK, rows))
            file.writelines(
                bad if bad and number % _BAD_EVERY == 7 else lines[number % len(lines)].replace("#", str(number), 1)
                for number in numbers
            )


def write_csv(path: Path, rows: int) -> None:
    lines = [
        f"#,{quantity},{price},{str(active).lower()},{day(when)},Zoë,{','.join(map(text, texts))}\n"
        for quantity, price, active, when, texts in cells()
    ]
    write_lines(path, rows, lines, head=",".join(COLUMNS) + "\n", bad="1,2,3\n")


def write_json_lines(path: Path, rows: int) -> None:
    lines = [
        f'{{"id":#,"quantity":{quantity},"price":{price},"active":{str(active).lower()},"day":"{day(when)}","name":"Zoë",'
        + ",".join(f'"text_{n}":"{text(number)}"' for n, number in enumerate(texts, start=1))
        + "}\n"
        for quantity, price, active, when, texts in cells()
    ]
    write_lines(path, rows, lines, bad='{"id": 1, "quantity": \n')


def write_workbook(path: Path, rows: int) -> None:
    """As Excel writes it: texts are shared, days are numbers with a style."""
    from tests.uploads.workbooks import made

    strings = "".join(f"<si><t>{text(number)}</t></si>" for number in range(4 * _POOL))
    named = "".join(f"<si><t>{name}</t></si>" for name in (*COLUMNS, "Zoë"))
    skeleton = made("@", strings=strings + named, styles='<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>')
    sheet = "xl/worksheets/sheet1.xml"
    with tempfile.TemporaryFile() as file, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        file.write(skeleton)
        with zipfile.ZipFile(file) as old:
            for name in old.namelist():
                if name != sheet:
                    new.writestr(name, old.read(name))
            before, after = old.read(sheet).decode().split("@")
        with new.open(sheet, "w", force_zip64=True) as stream:
            stream.write(before.encode())
            for piece in sheet_rows(rows):
                stream.write(piece.encode())
            stream.write(after.encode())


def sheet_rows(rows: int) -> Iterator[str]:
    names = (f'<c r="{chr(65 + n)}1" t="s"><v>{4 * _POOL + n}</v></c>' for n in range(len(COLUMNS)))
    yield f'<row r="1">{"".join(names)}</row>'
    lines = [
        f'<row r="#"><c r="A#"><v>#</v></c><c r="B#"><v>{quantity}</v></c><c r="C#"><v>{price}</v></c>'
        f'<c r="D#" t="b"><v>{int(active)}</v></c><c r="E#" s="1"><v>{25_569 + when}</v></c>'
        f'<c r="F#" t="s"><v>{4 * _POOL + len(COLUMNS)}</v></c>'
        + "".join(f'<c r="{chr(71 + n)}#" t="s"><v>{number}</v></c>' for n, number in enumerate(texts))
        + "</row>"
        for quantity, price, active, when, texts in cells()
    ]
    for number in range(2, rows + 2):
        yield lines[number % _POOL].replace("#", str(number))


def write_parquet(path: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    plain = path.with_suffix(".plain")
    write_csv(plain, rows)
    skip = pa.csv.ParseOptions(invalid_row_handler=lambda row: "skip")
    pq.write_table(pa.csv.read_csv(plain, parse_options=skip), path, compression="zstd", row_group_size=2**18)
    plain.unlink()


def pack(path: Path, plain: Path) -> None:
    import zstandard

    with plain.open("rb") as source, path.open("wb") as target:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=6) as packed:
                while chunk := source.read(2**20):
                    packed.write(chunk)
        else:
            zstandard.ZstdCompressor(level=3).copy_stream(source, target)


# The readers


def read_by_import(path: Path) -> int:
    from uploads import inspection
    from uploads.batches import tallied
    from uploads.column_types import TypeTally
    from uploads.parts import write_part
    from uploads.reading_ahead import one_ahead
    from uploads.sources import source_of

    layout = inspection.inspect(path, path.name)
    source = source_of(path, layout, {})
    tally, rows = TypeTally(text_types=source.text_types), 0
    read = tallied(source.batches(None), tally)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, one_ahead(read) as batches:
        for batch, _ in batches:
            write_part(batch.table, Path(folder) / f"{rows}.parquet")
            rows += batch.rows_read
    assert "integer" in tally.result().values()
    return rows


def read_by_openpyxl(path: Path) -> int:
    import openpyxl

    sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).active
    limit = 50_000  # it is the slowest, and at the same pace all along
    return sum(1 for _ in sheet.iter_rows(values_only=True, max_row=limit))


def read_by_orjson(path: Path) -> int:
    import orjson

    rows = 0
    with path.open("rb") as file:
        for line in file:
            rows += 1
            try:
                orjson.loads(line)
            except ValueError:
                continue
    return rows


def read_by_pyarrow(path: Path) -> int:
    import pyarrow.parquet as pq

    return sum(batch.num_rows for batch in pq.ParquetFile(path).iter_batches(batch_size=16_384, use_threads=False))


READERS: dict[str, Callable[[Path], int]] = {
    "import": read_by_import,
    "openpyxl": read_by_openpyxl,
    "orjson loop": read_by_orjson,
    "iter_batches": read_by_pyarrow,
}


def measure(reader: str, path: Path, rounds: int) -> Reading:
    """The median of some readings, each in a process of its own; the peak is the largest."""
    readings = [_once(reader, path) for _ in range(rounds)]
    seconds, cpu = median(one.seconds for one in readings), median(one.cpu_seconds for one in readings)
    return Reading(readings[0].rows, seconds, cpu, max(one.megabytes for one in readings))


def _once(reader: str, path: Path) -> Reading:
    command = [sys.executable, "-m", "benchmarks.formats", "--read", reader, str(path)]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    rows, seconds, cpu = child.stdout.read().split()
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, f"{reader} failed on {path}"
    return Reading(int(rows), float(seconds), float(cpu), usage.ru_maxrss / 1024)


def show(name: str, reading: Reading, beside: str, baseline: Reading, bar: str = "") -> None:
    print(
        f"{name:<9} {reading.rows:>9,} rows {reading.rate:>9,.0f} rows/s ({reading.cpu_rate:>9,.0f} a processor second)"
        f" {reading.megabytes:>4.0f} MB; {reading.cpu_rate / baseline.cpu_rate:.2f} of {beside},"
        f" {baseline.rate:,.0f} rows/s ({baseline.cpu_rate:,.0f}){bar}",
        flush=True,
    )


class _WithoutPandas(MetaPathFinder):
    """Only the tests have pandas: PyArrow would load it, and be larger than it is in a worker."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ImportError


def read(reader: Callable[[Path], int], path: Path) -> None:
    """In the child: a worker has its libraries loaded, so that is not counted, and leaves them out of collections."""
    import django

    sys.meta_path.insert(0, _WithoutPandas())
    django.setup()
    import uploads.sources.parquet
    import uploads.sources.workbook  # noqa: F401

    gc.freeze()
    began, worked = time.perf_counter(), time.process_time()
    rows = reader(path)
    print(rows, time.perf_counter() - began, time.process_time() - worked)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--sheet-rows", type=int, default=1_048_575)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="csv,jsonl,parquet,xlsx")
    options.add_argument("--read", nargs=2)
    given = options.parse_args()
    if given.read:
        read(READERS[given.read[0]], Path(given.read[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.only.split(","):
            COMPARISONS[kind](Path(folder), given)


def compare_csv(folder: Path, given: argparse.Namespace) -> None:
    plain = folder / "data.csv"
    write_csv(plain, given.rows)
    baseline = measure("import", plain, given.rounds)
    show("csv", baseline, "itself", baseline)
    for ending in ("gz", "zst"):
        path = folder / f"data.csv.{ending}"
        pack(path, plain)
        show(f"csv.{ending}", measure("import", path, given.rounds), "plain CSV", baseline)


def compare_json_lines(folder: Path, given: argparse.Namespace) -> None:
    path = folder / "data.jsonl"
    write_json_lines(path, given.rows)
    baseline = measure("orjson loop", path, given.rounds)
    bar = "; at least 300,000 in 200 MB"
    show("jsonl", measure("import", path, given.rounds), "a loop of orjson", baseline, bar)
    packed = folder / "data.jsonl.gz"
    pack(packed, path)
    show("jsonl.gz", measure("import", packed, given.rounds), "a loop of orjson", baseline)


def compare_parquet(folder: Path, given: argparse.Namespace) -> None:
    path = folder / "data.parquet"
    write_parquet(path, given.rows)
    baseline = measure("iter_batches", path, given.rounds)
    show("parquet", measure("import", path, given.rounds), "iter_batches alone", baseline)


def compare_workbooks(folder: Path, given: argparse.Namespace) -> None:
    path = folder / "data.xlsx"
    write_workbook(path, given.sheet_rows)
    baseline = measure("openpyxl", path, 1)
    bar = "; at least 25,000 in 450 MB"
    show("xlsx", measure("import", path, given.rounds), "openpyxl", baseline, bar)


COMPARISONS = {
    "csv": compare_csv,
    "jsonl": compare_json_lines,
    "parquet": compare_parquet,
    "xlsx": compare_workbooks,
}

if __name__ == "__main__":
    main()
