"""What is wrong with a declaration is said when the project starts, and not by a worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core import checks
from django.db.migrations.loader import MigrationLoader

from . import planning, registry
from .declaration import DataMigration, Step


@checks.register("data_migrations")
def check_data_migrations(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    known = {migration.name: migration for migration in registry.all_migrations()}
    found = [message for migration in known.values() for message in _of(migration, known)]
    graph = {name: [one for one in each.depends_on if one in known] for name, each in known.items()}
    if circle := planning.cycle(graph):
        found.append(_error(1, f"Data migrations depend on each other in a circle: {' → '.join(circle)}."))
    return found


def _of(migration: type[DataMigration], known: dict[str, Any]) -> Iterator[checks.CheckMessage]:
    steps = migration.steps
    if not steps:
        yield _error(2, f"{migration.name} has no steps.", migration)
    if circle := planning.has_cycle(steps):
        yield _error(
            1, f"The steps of {migration.name} come after each other in a circle: {' → '.join(circle)}.", migration
        )
    for name, count in Counter(step.name for step in steps).items():
        if count > 1:
            yield _error(3, f"{migration.name} has {count} steps that are called '{name}'.", migration)
    for step in steps:
        yield from _of_step(migration, step)
    yield from _of_dependencies(migration, known)
    yield from _of_reverse(migration)


def _of_dependencies(migration: type[DataMigration], known: dict[str, Any]) -> Iterator[checks.CheckMessage]:
    for name in migration.depends_on:
        if name not in known:
            yield _error(4, f"{migration.name} depends on the data migration '{name}', which is not there.", migration)
    for app, name in migration.requires:
        if not _is_schema_migration(app, name):
            yield _error(
                5, f"{migration.name} requires the schema migration {app}.{name}, which is not there.", migration
            )


def _of_reverse(migration: type[DataMigration]) -> Iterator[checks.CheckMessage]:
    lacking = [step.name for step in migration.steps if not step.is_reversible()]
    if lacking and len(lacking) < len(migration.steps) and not migration.keep_old_values:
        yield checks.Warning(
            f"{migration.name} cannot be reversed: {', '.join(lacking)} has no reverse().",
            hint="Write it, or set keep_old_values = True.",
            obj=migration,
            id="data_migrations.W001",
        )


def _of_step(migration: type[DataMigration], step: type[Step]) -> Iterator[checks.CheckMessage]:
    label = f"The step {step.name} of {migration.name}"
    if step.source is Step.source:
        yield _error(6, f"{label} has no source().", migration)
    if step.process is Step.process and step.process_batch is Step.process_batch:
        yield _error(6, f"{label} has neither process() nor process_batch().", migration)
    for before in step.after:
        if before not in migration.steps:
            yield _error(7, f"{label} comes after {before.name}, which is no step of it.", migration)
    if " " in step.name or len(step.name) > 100:
        yield _error(8, f"{label} has a blank in its name, or more than 100 characters.", migration)


def _is_schema_migration(app: str, name: str) -> bool:
    if not apps.is_installed(app) and app not in apps.app_configs:
        return False
    return (app, name) in MigrationLoader(None, ignore_no_migrations=True).disk_migrations


def _error(number: int, message: str, obj: Any = None) -> checks.Error:
    return checks.Error(message, obj=obj, id=f"data_migrations.E{number:03}")
