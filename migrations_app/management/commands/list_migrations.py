"""`manage.py list_migrations`: the data migrations that there are, and how far each has come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from lro.management.cli.exits import Exit, ending

from ... import plans, registry

_HEADS = ("NAME", "STATE", "LAST RUN", "ABOUT")


class Command(BaseCommand):
    help = "List the data migrations with their state; with a name, the plan of one."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="show the plan of this one")
        parser.add_argument("--json", action="store_true", help="as JSON lines")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["name"]:
            migration = registry.find(options["name"])
            if migration is None:
                raise ending(Exit.NOT_FOUND, f"There is no data migration '{options['name']}'.")
            found = [plans.plan_of(migration, {})]
        else:
            found = plans.all_summaries()
        lines = map(_json, found) if options["json"] else _plan(found[0]) if options["name"] else _table(found)
        for line in lines:
            self.stdout.write(line)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _table(summaries: Sequence[dict[str, Any]]) -> Iterator[str]:
    rows = [_HEADS, *((row["name"], row["state"], _time(row["last_run_at"]), row["about"]) for row in summaries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _plan(plan: dict[str, Any]) -> Iterator[str]:
    yield f"{plan['name']}  {plan['state']}  {plan['about']}"
    for number, step in enumerate(plan["steps"], 1):
        rows = "unknown" if step["rows"] is None else f"about {step['rows']:,}"
        reversible = "reversible" if step["reversible"] else "not reversible"
        yield f"  {number}. {step['name']}  {rows} records, {reversible}  {step['about']}"
    for parameter in plan["parameters"]:
        yield f"  --param {parameter['name']}=…  {'required' if parameter['required'] else 'optional'}"
    for pending in plan["pending"]:
        yield f"  pending: {pending['remedy']}"


def _time(value: Any) -> str:
    return "-" if value is None else f"{timezone.localtime(value):%Y-%m-%d %H:%M}"
