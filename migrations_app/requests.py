"""What a request for a run is refused for, each by its code, its place and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from uuid import UUID

from rest_framework.exceptions import ValidationError

from lro import Problem

from . import history, planning, registry, reversing
from .declaration import DataMigration
from .models import Run


def checked(data: dict[str, Any], owner: Any) -> dict[str, Any]:
    """The valid data of a request, or a `Problem`."""
    migration = known(data["migration"], "/migration")
    _check_combination(data)
    earlier = _earlier(migration, data)
    if earlier is not None:
        data = {**data, "parameters": data["parameters"] or earlier.parameters, "steps": earlier.steps}
    else:
        _check_steps(migration, data["steps"])
    valid_parameters(migration, data["parameters"], owner)
    return data


def admit(data: dict[str, Any]) -> None:
    """Raise `Problem` where this valid request cannot be met now."""
    migration = known(data["migration"], "/migration")
    earlier, is_reverse = _earlier(migration, data), bool(data.get("reverse"))
    if earlier is not None:
        _check_ended(migration, earlier, "reverse" if is_reverse else "retry_rejects")
        (_check_reversible if is_reverse else _check_retry)(migration, earlier, data)
    if not is_reverse:
        _check_dependencies(migration)
    refuse_second(migration.name)


def known(name: str, pointer: str = "") -> type[DataMigration]:
    migration = registry.find(name)
    if migration is None:
        near = registry.nearest(name)
        hint = f" Did you mean {near}?" if near else ""
        refuse(422, "unknown_migration", f"There is no data migration '{name}'.{hint}", pointer)
    return migration


def valid_parameters(migration: type[DataMigration], given: Mapping[str, Any], owner: Any) -> dict[str, Any]:
    """As the steps get them. Raises `Problem`."""
    fields = migration.parameters().fields if migration.parameters else {}
    for name in given:
        if name not in fields:
            near = next(iter(difflib.get_close_matches(name, list(fields), n=1)), "")
            hint = f" Did you mean {near}?" if near else ""
            message = f"{migration.name} has no parameter '{name}'.{hint}"
            refuse(422, "unknown_parameter", message, f"/parameters/{name}")
    if migration.parameters is None:
        return {}
    serializer = migration.parameters(data=given, context={"owner": owner})
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        places = list(_places(error.detail, "/parameters"))
        message = "; ".join(f"{place['pointer'].rpartition('/')[2]}: {place['message']}" for place in places)
        raise Problem(422, "invalid_parameters", f"The parameters are not valid: {message}", places) from error
    except Problem as problem:  # of a field that says more than that its value is invalid, as one of a dataset
        places = [{**each, "pointer": f"/parameters{each.get('pointer', '')}"} for each in problem.errors]
        raise Problem(problem.status, problem.code, problem.message, places) from problem
    return dict(serializer.validated_data)


def refuse_changed_code(migration: str, run: Run | None, started_with: str) -> None:
    """Raise `Problem` where the code is another one than the run was started with, and nobody confirmed it."""
    cls = registry.find(migration)
    now = planning.fingerprint(cls) if cls is not None else ""
    if now in (started_with, run.confirmed_code if run else ""):
        return
    remedy = f"POST /migrations/runs/{run.pk}/confirm-code" if run else "start it anew"
    message = f"The code of {migration} was changed since the run began. Look at the change, then confirm it: {remedy}."
    refuse(409, "code_changed", message)


def refuse_second(migration: str, *, beside: UUID | None = None) -> None:
    """Raise `Problem` where another operation than `beside` works on the migration."""
    active = history.under_way(migration)
    if active is not None and active.pk != beside:
        owner = active.owner.get_username() if active.owner else "somebody"
        message = f"{migration} is {active.state} already, started by {owner}: operation {active.pk}."
        refuse(409, "already_running", message, "/migration")


def refuse(status: int, code: str, message: str, pointer: str = "") -> NoReturn:
    raise Problem(status, code, message, [{"pointer": pointer, "message": message}] if pointer else [])


def _check_combination(data: dict[str, Any]) -> None:
    special = [name for name in ("reverse", "retry_rejects") if data.get(name)]
    if len(special) == 2:
        refuse(422, "conflicting_input", "Either reverse a run, or retry what it rejected.", "/reverse")
    for other in ("steps", "dry_run") if "reverse" in special else ("steps",) if special else ():
        if data[other]:
            refuse(422, "conflicting_input", f"'{special[0]}' cannot be combined with '{other}'.", f"/{other}")
    if data["shards"] > 1 and (special or data["dry_run"]):
        message = f"{'A dry run' if data['dry_run'] else special[0]} is not sharded: leave 'shards' at 1."
        refuse(422, "conflicting_input", message, "/shards")


def _check_steps(migration: type[DataMigration], names: list[str]) -> None:
    steps = [step.name for step in migration.steps]
    for index, name in enumerate(names):
        if name not in steps:
            message = f"{migration.name} has no step '{name}'; its steps are {', '.join(steps)}."
            refuse(422, "unknown_step", message, f"/steps/{index}")


def _earlier(migration: type[DataMigration], data: dict[str, Any]) -> Run | None:
    """The run that is to be reversed, or whose rejected records are to be tried again."""
    kind = "reverse" if data.get("reverse") else "retry_rejects"
    if not data.get(kind):
        return None
    run: Run | None = Run.objects.filter(pk=data[kind], migration=migration.name).first()
    if run is None:
        refuse(422, "unknown_run", f"{migration.name} has no run {data[kind]}.", f"/{kind}")
    return run


def _check_ended(migration: type[DataMigration], run: Run, kind: str) -> None:
    active = history.under_way(migration.name)
    if active is not None and active.pk == run.pk:
        refuse(409, "already_running", f"The run {run.pk} has not ended yet: it is {active.state}.", f"/{kind}")


def _check_reversible(migration: type[DataMigration], run: Run, data: dict[str, Any]) -> None:
    if run.kind != "run":
        refuse(422, "not_reversible", f"The run {run.pk} is a {run.kind}, and is not reversed itself.", "/reverse")
    followers = history.runs_of([migration.name])[migration.name]
    done = next((each for each in followers if each.of_id == run.pk and each.kind == "reverse"), None)
    if done is not None and done.state == "succeeded":
        refuse(409, "already_reversed", f"The run {run.pk} was reversed by {done.pk}.", "/reverse")
    if reversing.has_images(run):
        return
    if not all(step.is_reversible() for step in planning.chosen(migration, run.steps)):
        message = f"{migration.name} kept no old values in this run, and not each of its steps has a reverse()."
        refuse(422, "not_reversible", message, "/reverse")
    _check_code(migration, run, data)


def _check_retry(migration: type[DataMigration], run: Run, data: dict[str, Any]) -> None:
    if not history.failed_records(run.pk):
        refuse(422, "nothing_to_retry", f"The run {run.pk} rejected no record.", "/retry_rejects")
    if run.kind == "reverse":
        refuse(422, "nothing_to_retry", f"The run {run.pk} is a reverse; reverse the run again.", "/retry_rejects")
    _check_code(migration, run, data)


def _check_code(migration: type[DataMigration], run: Run, data: dict[str, Any]) -> None:
    if not data["confirm_code_change"] and planning.fingerprint(migration) not in (run.code, run.confirmed_code):
        remedy = "Look at the change, then send the request with confirm_code_change."
        message = f"The code of {migration.name} was changed since that run. {remedy}"
        refuse(409, "code_changed", message, "/confirm_code_change")


def _check_dependencies(migration: type[DataMigration]) -> None:
    missing = history.pending(migration)
    if missing:
        message = f"{migration.name} cannot run yet. " + " ".join(each["remedy"] for each in missing)
        raise Problem(409, "dependencies_pending", message, [{"pointer": "/migration", **each} for each in missing])


def _places(detail: Any, pointer: str) -> Iterator[dict[str, str]]:
    if isinstance(detail, dict):
        for name, value in detail.items():
            yield from _places(value, pointer if name == "non_field_errors" else f"{pointer}/{name}")
    elif isinstance(detail, list):
        for value in detail:
            yield from _places(value, pointer)
    else:
        yield {"pointer": pointer, "message": str(detail)}
