"""Operations, their facts and their names, as text for people or as JSON lines for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models.functions import Now
from django.utils import timezone

from ...models import Operation
from ...runtime import diagnosis, registry
from ...runtime.diagnosis import Finding
from ...transports import payloads
from . import words

_TOLERANCE_SECONDS = 2.0
_HEADS = ("ID", "NAME", "STATE", "PROGRESS", "OWNER", "CREATED")


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def found(finding: Finding) -> dict[str, Any]:
    return {"name": finding.name, "good": finding.is_good, "problem": finding.problem, "remedy": finding.remedy}


def table(operations: Sequence[Operation]) -> Iterator[str]:
    rows = [_HEADS, *(_cells(row) for row in operations)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(row: Operation) -> tuple[str, ...]:
    owner = row.owner.get_username() if row.owner else "-"
    share = words.percent(words.percent_of(row)) or "-"
    return (str(row.pk), row.name, row.state, share, owner, f"{timezone.localtime(row.created_at):%Y-%m-%d %H:%M:%S}")


def facts(row: Operation) -> Iterator[str]:
    shown = payloads.operation(row)
    plain = ("id", "name", "state", "owner", "attempt", "rejected", "created_at", "started_at", "finished_at")
    for name in plain:
        yield f"{name:<12} {'-' if shown[name] is None else shown[name]}"
    yield f"{'progress':<12} {words.joined(words.percent(words.percent_of(row)), words.amount(row.progress)) or '-'}"
    for name in ("input", "result", "error"):
        if shown[name] is not None:
            yield f"{name}\n{json.dumps(shown[name], indent=2, ensure_ascii=False)}"


def names() -> Iterator[dict[str, Any]]:
    for cls in registry.public_classes():
        fields = cls.input_serializer().fields if cls.input_serializer else {}
        parameters = [name if field.required else f"[{name}]" for name, field in fields.items()]
        about = (cls.__doc__ or "").strip().partition("\n")[0]
        yield {"name": cls.name, "about": about, "queue": cls.queue, "parameters": parameters}


def examine() -> list[Finding]:
    findings = diagnosis.examine()
    is_readable = all(finding.is_good for finding in findings if finding.name in ("database", "migrations"))
    return [*findings, diagnosis.releases(), _clock()] if is_readable else findings


def _clock() -> Finding:
    """Leases are timed by the database; tokens and ids by this process."""
    database_time = ContentType.objects.annotate(now=Now()).values_list("now", flat=True).first()
    seconds = abs((database_time - timezone.now()).total_seconds()) if database_time else 0.0
    if seconds > _TOLERANCE_SECONDS:
        remedy = "Let both machines keep their time by NTP."
        return Finding("clock", f"this process and the database differ by {seconds:.1f} s", remedy)
    return Finding("clock")
