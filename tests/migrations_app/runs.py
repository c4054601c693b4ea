"""Short words for the tests: start, hurt, go on."""

from __future__ import annotations

from typing import Any

from lro.models import Operation
from lro.runtime import submission
from lro.testing import run_due, run_operation

HISTORY = ("migrations_app_run", "migrations_app_beforeimage")


def run(owner: Any, name: str, **data: Any) -> Operation:
    return run_operation("migrations.run", {"migration": name, **data}, owner)


def submit(owner: Any, name: str, **data: Any) -> Operation:
    return submission.submit("migrations.run", {"migration": name, **data}, owner).operation


def finish(operation: Operation) -> Operation:
    run_due()
    return fresh(operation)


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def told(operation: Operation, kind: str) -> list[dict[str, Any]]:
    return list(operation.events.filter(kind=f"migrations.{kind}").values_list("data", flat=True))


def kinds(operation: Operation) -> list[str]:
    """The module's own events, in order."""
    rows = operation.events.filter(kind__startswith="migrations.").values_list("kind", flat=True)
    return [kind.partition(".")[2] for kind in rows]
