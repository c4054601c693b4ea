"""In which order steps are done, and what identifies a migration's code. Pure: no database."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from .declaration import DataMigration, Step


def ordered(steps: Sequence[type[Step]]) -> list[type[Step]]:
    """Each step behind those that it comes after, else as they were declared. Raises `graphlib.CycleError`."""
    sorter = TopologicalSorter({step: [before for before in step.after if before in steps] for step in steps})
    sorter.prepare()
    found: list[type[Step]] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=list(steps).index)
        found += ready
        sorter.done(*ready)
    return found


def chosen(migration: type[DataMigration], names: Sequence[str]) -> list[type[Step]]:
    """The steps of a run, in order: those that were named, or all."""
    return [step for step in ordered(migration.steps) if not names or step.name in names]


def before(step: type[Step]) -> list[type[Step]]:
    """All steps that a step builds on, the first one first."""
    found: list[type[Step]] = []
    for each in step.after:
        found += [one for one in (*before(each), each) if one not in found]
    return found


def cycle(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """The names on a circle of dependencies, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def has_cycle(steps: Sequence[type[Step]]) -> list[str]:
    return cycle({step.name: [each.name for each in step.after] for step in steps})


def fingerprint(migration: type[DataMigration]) -> str:
    """SHA-256 of the migration's source, its steps' and their bases'; of other functions that they call nothing."""
    digest = hashlib.sha256()
    for cls in _own_classes(migration):
        digest.update(_source(cls).encode())
    return digest.hexdigest()


def _own_classes(migration: type[DataMigration]) -> Iterator[type]:
    seen: set[type] = {object, DataMigration, Step}
    for top in (migration, *migration.steps):
        for cls in top.__mro__:
            if cls not in seen:
                seen.add(cls)
                yield cls


def _source(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):  # made at run time
        return f"{cls.__module__}.{cls.__qualname__} {sorted(vars(cls))}"
