"""A run from its line in the history to its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from lro import OperationContext

from . import history, planning, reversing
from .declaration import DataMigration
from .models import Run
from .reversing import Restoring
from .running import Order, Running
from .sharding import Sharding
from .state import State, percentile

_COUNTED = ("processed", "changed", "skipped", "failed")


class WholeRun:
    def __init__(
        self, op: OperationContext, migration: type[DataMigration], parameters: Mapping[str, Any], data: dict[str, Any]
    ) -> None:
        self.op, self.migration, self.parameters, self.data = op, migration, parameters, data
        self.kind = "reverse" if data.get("reverse") else "retry" if data.get("retry_rejects") else "run"
        self.is_dry = bool(data["dry_run"])

    def run(self) -> dict[str, Any]:
        if not self.is_dry:
            self._enter()
        running = self._running()
        state = running.restore(self._of()) if isinstance(running, Restoring) else running.run()
        result = self._result(state)
        if not state.is_complete:
            running.commit(lambda state: self._complete(state, result))
        return result

    def _enter(self) -> None:
        """Its line in the history, which outlives its operation."""
        data = self.data
        values = {
            "migration": self.migration.name,
            "kind": self.kind,
            "of_id": data.get("reverse") or self._retried(),
            "owner_id": self.op.owner_id,
            "steps": data["steps"],
            "parameters": data["parameters"],
            "is_whole": not data["steps"] or set(data["steps"]) == {step.name for step in self.migration.steps},
            "code": data["code"],
        }
        Run.objects.get_or_create(operation_id=self.op.id, defaults=values)

    def _running(self) -> Running:
        order = self._order()
        if self.kind == "reverse" and reversing.has_images(self._of()):
            return Restoring(self.op, order)
        if self.data["shards"] > 1:
            shared = {name: self.data[name] for name in ("migration", "parameters", "max_errors", "pause", "code")}
            return Sharding(self.op, order, self.data["shards"], {**shared, "run": str(self.op.id)})
        return Running(self.op, order)

    def _order(self) -> Order:
        steps = planning.chosen(self.migration, self.data["steps"])
        failed = history.failed_records(UUID(self.data["retry_rejects"])) if self.kind == "retry" else None
        return Order(
            self.migration,
            steps[::-1] if self.kind == "reverse" else steps,
            self.parameters,
            run=self.op.id,
            is_dry=self.is_dry,
            is_reverse=self.kind == "reverse",
            max_errors=self.data["max_errors"],
            pause=self.data["pause"],
            only=failed,
        )

    def _of(self) -> Run:
        found: Run = Run.objects.get(pk=self.data["reverse"])
        return found

    def _retried(self) -> UUID | None:
        """The run whose records are tried again, also where that was tried before."""
        run = Run.objects.filter(pk=self.data.get("retry_rejects")).first()
        return None if run is None else run.of_id or run.pk

    def _result(self, state: State) -> dict[str, Any]:
        reports = [step.report() for step in state.steps]
        times = state.transactions
        result = {
            "migration": self.migration.name,
            "kind": self.kind,
            "dry_run": self.is_dry,
            "steps": reports,
            **{name: sum(report[name] for report in reports) for name in _COUNTED},
            "transactions": {
                "count": sum(times.values()),
                "p50_ms": percentile(times, 0.5),
                "p95_ms": percentile(times, 0.95),
            },
        }
        return result | ({"sample": state.sample} if self.is_dry else {})

    def _complete(self, state: State, result: dict[str, Any]) -> None:
        state.is_complete = True
        told = {name: value for name, value in result.items() if name != "sample"}
        self.op.event("migrations.completed", told)
        rows = Run.objects.filter(pk=self.op.id)
        rows.update(state="succeeded", finished_at=Now(), result=told)
