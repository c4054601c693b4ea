"""A column of many rows is filled: by the shipped data migration, by SQL written by hand, by `bulk_update`.

The migration is the real operation, with its cursor, its history and its progress; the hand-written loop reads by key,
computes the same in Python, and writes by `UPDATE … FROM unnest(…)`, a transaction for each 5,000 rows; `bulk_update`
does the same by the ORM, on a part of the rows, in its best batch size of 500.

Beside the rate stands the processor time of this process and of its database connection: on a machine that others use
too, it says more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROWS = """
    INSERT INTO migrations_app_person (first_name, last_name, email, phone, search_name)
    SELECT 'First' || n %% 5000, 'Last' || n %% 70000, 'person' || n || '@example.org', '', ''
    FROM generate_series(1, %s) n
"""
_HAND_ROWS, _BULK_ROWS = 5_000, 500


def fill(rows: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE migrations_app_person, migrations_app_contactimport")
        cursor.execute(ROWS, [rows])
        cursor.execute("VACUUM ANALYZE migrations_app_person")
        cursor.execute("CHECKPOINT")


def by_operation(rows: int, owner: Any) -> tuple[float, dict[str, Any]]:
    from lro.testing import run_operation

    began = time.perf_counter()
    operation = run_operation("migrations.run", {"migration": "contacts.fill-search-name"}, owner)
    seconds = time.perf_counter() - began
    assert operation.state == "succeeded", operation.error
    assert operation.result["changed"] == rows
    return seconds, dict(operation.result["transactions"])


def by_hand(rows: int) -> float:
    from django.db import connection, transaction

    from migrations_app.contacts import search_name

    read = "SELECT id, first_name, last_name FROM migrations_app_person WHERE id > %s ORDER BY id LIMIT %s"
    write = (
        "UPDATE migrations_app_person p SET search_name = v.name "
        "FROM unnest(%s::bigint[], %s::text[]) v(id, name) WHERE p.id = v.id"
    )
    began, after, done = time.perf_counter(), 0, 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(read, [after, _HAND_ROWS])
            found = cursor.fetchall()
            if not found:
                break
            cursor.execute(write, [[row[0] for row in found], [search_name(row[1], row[2]) for row in found]])
            after, done = found[-1][0], done + len(found)
    assert done == rows
    return time.perf_counter() - began


def by_bulk_update(rows: int) -> float:
    from django.db import transaction

    from migrations_app.contacts import search_name
    from migrations_app.models import Person

    began, after, done = time.perf_counter(), 0, 0
    while done < rows:
        with transaction.atomic():
            people = list(Person.objects.filter(pk__gt=after).order_by("pk")[: min(_HAND_ROWS, rows - done)])
            for person in people:
                person.search_name = search_name(person.first_name, person.last_name)
            Person.objects.bulk_update(people, ["search_name"], batch_size=_BULK_ROWS)
            after, done = people[-1].pk, done + len(people)
    return time.perf_counter() - began


def processor_seconds() -> float:
    """Of this process and of the server's process behind its connection, as Linux counts them."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    rate: float
    cpu_us: float


def measure(options: argparse.Namespace) -> None:
    from django.contrib.auth import get_user_model

    owner = get_user_model().objects.create_superuser("bench", password=None)
    figures: dict[str, list[Figure]] = {"the migration": [], "UPDATE … FROM by hand": [], "bulk_update": []}
    transactions: list[dict[str, Any]] = []

    def timed(name: str, rows: int, run: Callable[[], float]) -> None:
        fill(rows)
        before = processor_seconds()
        rate = rows / run()
        figures[name].append(Figure(rate, 1e6 * (processor_seconds() - before) / rows))

    def migrated() -> float:
        seconds, times = by_operation(options.rows, owner)
        transactions.append(times)
        return seconds

    for _ in range(options.runs):
        timed("the migration", options.rows, migrated)
        timed("UPDATE … FROM by hand", options.rows, lambda: by_hand(options.rows))
        timed("bulk_update", options.bulk_rows, lambda: by_bulk_update(options.bulk_rows))
    _print(figures, transactions, options)


def _print(figures: dict[str, list[Figure]], transactions: list[dict[str, Any]], options: argparse.Namespace) -> None:
    print(f"{options.rows:,} rows, bulk_update on {options.bulk_rows:,} of them; medians of {options.runs}\n")
    print(
        "| | rows a second | the migration is as fast | CPU a row | and takes of it |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    ours = figures["the migration"]
    for name, found in figures.items():
        pairs = list(zip(ours, found, strict=True))
        rate, cpu = median(each.rate for each in found), median(each.cpu_us for each in found)
        speed = median(own.rate / other.rate for own, other in pairs)
        share = median(own.cpu_us / other.cpu_us for own, other in pairs)
        print(f"| {name} | {rate:,.0f} | {speed:.2f} times | {cpu:.1f} µs | {share:.2f} |")
    print(f"\nIts transactions, run by run, p50 and p95 in ms: {[(t['p50_ms'], t['p95_ms']) for t in transactions]}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--bulk-rows", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lro-bench-") as folder:
        os.environ["LRO_DATA_DIR"] = str(Path(folder))
        os.environ.pop("DATABASE_URL", None)
        os.environ.pop("REDIS_URL", None)
        from config.embedded import serving

        with serving():
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0)
            measure(options)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    sys.exit(main(sys.argv[1:]))
