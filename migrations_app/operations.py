"""`migrations.run`: a data migration, its reverse, or once more what it rejected; `migrations.shard`: a part of one."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth import get_user_model

from lro import Fail, Operation, OperationContext, OperationTask, Problem, datasets, register

from . import planning, registry, requests
from .declaration import DataMigration
from .models import BeforeImage, Run
from .running import Order
from .serializers import MigrationInput, MigrationResult
from .sharding import Shard
from .sources import Range
from .whole import WholeRun

Begun = tuple[type[DataMigration], dict[str, Any]]


class MigrationOperation(OperationTask):
    """What a run and its shards have in common."""

    max_attempts = 10

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        name = prepared["migration"]
        parameters = getattr(registry.find(name), "parameters", None)
        fields = parameters().fields if parameters else {}
        given = prepared["parameters"]
        read = [name for name, field in fields.items() if isinstance(field, datasets.DatasetField) and given.get(name)]
        return [f"migration:{name}", *(datasets.tag(given[field]) for field in read)]

    def start(
        self, op: OperationContext, data: dict[str, Any], run: UUID
    ) -> tuple[type[DataMigration], dict[str, Any]]:
        """The migration and its parameters. Raises `Fail` where it must not go on."""
        owner = get_user_model()._default_manager.filter(pk=op.owner_id or 0).first()
        try:
            migration = requests.known(data["migration"])
            requests.refuse_changed_code(migration.name, Run.objects.filter(pk=run).first(), data["code"])
            return migration, requests.valid_parameters(migration, data["parameters"], owner)
        except Problem as problem:
            raise Fail(problem.code, problem.message, problem.errors) from problem


@register("migrations.run")
class RunMigration(MigrationOperation):
    """Run a data migration.

    Each record is changed exactly once, whatever is killed meanwhile. A run can be paused and resumed, tried without a
    trace, reversed where the migration allows it, and what it rejected can be tried again.
    """

    input_serializer = MigrationInput
    result_serializer = MigrationResult
    permission = "migrations_app.run_migration"
    single_flight: ClassVar[Any] = "reject"

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        migration = requests.known(data["migration"])
        defaults = {"max_errors": migration.max_errors, "pause": migration.pause_seconds}
        return {**defaults, **data, "code": planning.fingerprint(migration)}

    @classmethod
    def admit(cls, prepared: dict[str, Any], owner: Any) -> None:
        requests.admit(prepared)

    @classmethod
    def identity(cls, prepared: dict[str, Any]) -> Any:
        """A request that is repeated after a deploy is the same one."""
        return {**prepared, "code": None}

    @classmethod
    def flight_key(cls, prepared: dict[str, Any]) -> str | None:
        return str(prepared["migration"])

    @classmethod
    def reconsider(cls, operation: Operation, verb: str) -> None:
        requests.refuse_second(operation.input["migration"], beside=operation.pk)
        run = Run.objects.filter(pk=operation.pk).first()
        requests.refuse_changed_code(operation.input["migration"], run, operation.input["code"])

    @classmethod
    def forget(cls, operation: Operation) -> None:
        """Its line in the history stays; what it kept to be reversed goes."""
        Run.objects.filter(pk=operation.pk).update(state=operation.state)
        BeforeImage.objects.filter(run_id=operation.pk).delete()

    def run(self, op: OperationContext, **data: Any) -> dict[str, Any]:
        migration, parameters = self.start(op, data, op.id)
        return WholeRun(op, migration, parameters, data).run()


@register("migrations.shard")
class RunShard(MigrationOperation):
    """Do a step of a data migration to a range of keys."""

    is_internal = True

    def run(self, op: OperationContext, *, step: str, after: str | None, until: str | None, **data: Any) -> Any:
        migration, parameters = self.start(op, data, UUID(data["run"]))
        limits = {"max_errors": data["max_errors"], "pause": data["pause"]}
        steps = planning.chosen(migration, [step])
        order = Order(migration, steps, parameters, run=UUID(data["run"]), keys=Range(after, until), **limits)
        state = Shard(op, order).run()
        return {"report": state.steps[0].report(), "transactions": state.transactions}
