"""What was run, when and by whom; which migrations have completed, and which one is under way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q

from lro import Operation, Reject

from .declaration import DataMigration
from .models import Run

NAME = "migrations.run"
_SHOWN = 20


def under_way(migration: str) -> Operation | None:
    """The operation that works on this migration now, or waits, or is paused."""
    found: Operation | None = Operation.objects.active().filter(name=NAME, input__migration=migration).first()
    return found


def runs_of(migrations: Iterable[str]) -> dict[str, list[Run]]:
    """The runs of these migrations, the newest first, each with the state that its operation has now."""
    runs = list(Run.objects.filter(migration__in=list(migrations)).select_related("owner"))
    states = dict(Operation.objects.filter(pk__in=[run.pk for run in runs]).values_list("pk", "state"))
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        run.state = states.get(run.pk, run.state)
        found[run.migration].append(run)
    return found


def is_completed(runs: Sequence[Run]) -> bool:
    """Whether the last run of all steps that succeeded was not reversed since."""
    for run in runs:
        if run.state == "succeeded" and run.kind == "reverse":
            return False
        if run.state == "succeeded" and run.kind == "run" and run.is_whole:
            return True
    return False


def state_of(runs: Sequence[Run], active: Operation | None) -> str:
    """`never_run`, `running` (also where it waits or is paused), `completed`, `reversed`, `failed`, `cancelled`."""
    if active is not None:
        return "running"
    if not runs:
        return "never_run"
    last = runs[0]
    if last.state != "succeeded":
        return str(last.state)
    if last.kind == "reverse":
        return "reversed"
    return "completed" if is_completed(runs) else "partial"


def pending(migration: type[DataMigration]) -> list[dict[str, str]]:
    """What must have happened before this migration may run, and has not."""
    runs = runs_of(migration.depends_on)
    missing = [
        {"kind": "data_migration", "name": name, "remedy": f"Run the data migration {name} first."}
        for name in migration.depends_on
        if not is_completed(runs.get(name, []))
    ]
    applied = MigrationRecorder(connection).applied_migrations() if migration.requires else {}
    return missing + [
        {
            "kind": "schema_migration",
            "name": f"{app}.{name}",
            "remedy": f"Apply the schema migration first: manage.py migrate {app} {name}",
        }
        for app, name in migration.requires
        if (app, name) not in applied
    ]


def failed_records(run: UUID) -> dict[str, list[str]]:
    """The keys of the records that a run set aside, by step; those of its shards too, where it failed before them."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    family = Operation.objects.filter(Q(pk=run) | Q(parent_id=run)).values_list("pk", flat=True)
    for raw in Reject.objects.filter(operation_id__in=list(family)).order_by("pk").values_list("raw", flat=True):
        step, _, key = raw.partition(" ")
        found[step][key] = None
    return {step: list(keys) for step, keys in found.items()}


def shown(run: Run) -> dict[str, Any]:
    return {
        "id": str(run.pk),
        "kind": run.kind,
        "state": run.state,
        "of": str(run.of_id) if run.of_id else None,
        "owner": run.owner.get_username() if run.owner else None,
        "steps": run.steps,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "confirmed_by": run.confirmed_by or None,
        "result": run.result,
    }


def newest(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [shown(run) for run in runs[:_SHOWN]]
