"""What a run would do, before it does it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from lro import Fail, Operation, Problem

from . import history, planning, registry, requests
from .declaration import DataMigration, Step
from .models import Run


def all_summaries() -> list[dict[str, Any]]:
    migrations = list(registry.all_migrations())
    runs = history.runs_of([migration.name for migration in migrations])
    rows = Operation.objects.active().filter(name=history.NAME)
    active = {row.input["migration"]: row for row in rows}
    return [_summary(migration, runs.get(migration.name, []), active.get(migration.name)) for migration in migrations]


def plan_of(migration: type[DataMigration], given: Mapping[str, Any], owner: Any = None) -> dict[str, Any]:
    """Raises `Problem` for parameters that are not valid; without any that it needs, records are not counted."""
    parameters = _parameters(migration, given, owner)
    runs = history.runs_of([migration.name]).get(migration.name, [])
    fields = migration.parameters().fields if migration.parameters else {}
    return {
        **_summary(migration, runs, history.under_way(migration.name)),
        "steps": [_step(migration, step, parameters) for step in planning.ordered(migration.steps)],
        "parameters": [
            {"name": name, "required": field.required, "about": str(field.help_text or "")}
            for name, field in fields.items()
        ],
        "reversible": migration.can_reverse(),
        "keeps_old_values": migration.keep_old_values,
        "max_errors": migration.max_errors,
        "pending": history.pending(migration),
        "history": history.newest(runs),
    }


def _summary(migration: type[DataMigration], runs: Sequence[Run], active: Operation | None) -> dict[str, Any]:
    return {
        "name": migration.name,
        "about": about(migration),
        "state": history.state_of(runs, active),
        "operation": str(active.pk) if active else None,
        "last_run_at": runs[0].started_at if runs else None,
    }


def _step(migration: type[DataMigration], step: type[Step], parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "name": step.name,
        "about": about(step),
        "after": [before.name for before in step.after],
        "rows": _rows(step, parameters),
        "reversible": migration.keep_old_values or step.is_reversible(),
        "can_shard": step.can_shard,
    }


def _parameters(migration: type[DataMigration], given: Mapping[str, Any], owner: Any) -> Mapping[str, Any] | None:
    """As the steps get them; None where nothing was given, and something is needed."""
    try:
        return requests.valid_parameters(migration, given, owner)
    except Problem:
        if given:
            raise
        return None


def _rows(step: type[Step], parameters: Mapping[str, Any] | None) -> int | None:
    """What the database's planner expects, which costs next to nothing; exact on SQLite."""
    if parameters is None:
        return None
    try:
        records = step(parameters).source()
    except Fail as failure:
        requests.refuse(422, failure.code, failure.message)
    if not isinstance(records, QuerySet):
        return int(records.rows)
    if connection.vendor != "postgresql":
        return records.count()
    (explained,) = json.loads(records.order_by().explain(format="json"))
    return int(explained["Plan"]["Plan Rows"])


def about(cls: type) -> str:
    """The first line of its docstring, unless it is inherited."""
    return inspect.cleandoc(cls.__dict__.get("__doc__") or "").partition("\n")[0]
