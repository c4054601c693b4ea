"""Is all there that operations need? Asked by `lro doctor` and by `/health/ready`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from asgiref.sync import async_to_sync
from celery import current_app
from channels.layers import get_channel_layer
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now

from ..conf import conf
from ..lifecycle import leases
from ..models import Operation
from . import registry, resources


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    problem: str = ""
    remedy: str = ""

    @property
    def is_good(self) -> bool:
        return not self.problem


def examine() -> list[Finding]:
    return [_ask(check) for check in (database, migrations, broker, channel_layer, waiting)]


def database() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Finding("database")


def migrations() -> Finding:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        return Finding("migrations", f"{len(plan)} are not applied", "Run manage.py migrate.")
    return Finding("migrations")


def broker() -> Finding:
    with current_app.connection_for_write() as link:
        link.ensure_connection(max_retries=1, timeout=2)
    return Finding("broker")


def channel_layer() -> Finding:
    layer = get_channel_layer()
    if layer is None:
        return Finding("channel_layer", "none is configured", "Set CHANNEL_LAYERS.")

    async def send() -> None:
        await asyncio.wait_for(layer.group_send("lro", {"type": "lro.hints", "hints": []}), timeout=2)

    async_to_sync(send)()
    return Finding("channel_layer")


def waiting() -> Finding:
    """A queue that does not move tells that no worker lives; one that is only long does not."""
    for queue in sorted({cls.queue for cls in registry.all_classes()}):
        if (seconds := _stands_for(queue)) > 0:
            remedy = f"Start a worker of the queue '{queue}': celery -A config worker, or make run."
            return Finding("workers", f"an operation has waited {seconds:.0f} s for one", remedy)
    return Finding("workers")


def _stands_for(queue: str) -> float:
    """For how many seconds what could be claimed has waited, where for as long no attempt was made; else 0."""
    since = Now() - timedelta(seconds=conf().rewake_seconds * 2)
    mine = Operation.objects.filter(queue=queue)
    due = mine.filter(leases.claimable(), run_at__lt=since).annotate(now=Now())
    first = due.order_by("id").first()
    if first is None or mine.held().filter(lease_expires_at__gt=Now()).exists():
        return 0.0
    if mine.filter(updated_at__gt=since, attempts__finished_at__gt=since).exists():
        return 0.0
    return float((first.now - first.run_at).total_seconds())


def releases() -> Finding:
    """What was to be deleted or undone and could not be. No reason to refuse requests, so `examine` leaves it out."""
    left = list(resources.given_up()[:3])
    if left:
        told = "; ".join(f"{resource}: {resource.error or 'its process ended in the middle'}" for resource in left)
        problem = f"{resources.given_up().count()} could not be released at {conf().release_tries} tries, as {told}"
        return Finding("releases", problem, "Mend what it says, then run manage.py lro_reconcile --once.")
    return Finding("releases")


def _ask(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:
        return Finding(
            check.__name__, f"{type(error).__name__}: {error}", "See its settings, and that its server runs."
        )
