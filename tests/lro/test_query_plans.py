"""What is asked again and again costs what is under way, and not what has ended since the last retention."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lro.models import Operation
from lro.runtime import admission, diagnosis, queueing, reconciler, registry
from lro.states import State
from lro.transports.records import Interest, Target
from lro.transports.rest.metrics import Figures

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL's plans that are looked at"),
]
_ENDED = 10_000

ASKED: dict[str, Callable[[Any], object]] = {
    "a round of the reconciler": lambda owner: reconciler.reconcile(reconciler.DUTIES),
    "when its next round is due": lambda owner: reconciler._seconds_until_due(),
    "retention": lambda owner: reconciler.reconcile(reconciler.CHORES[:2]),
    "the next operation of a queue": lambda owner: queueing.due("default"),
    "a submission": lambda owner: admission.admit(registry.find("probe.replaces"), owner),
    "what is one's own": lambda owner: list(Target("mine").rows(owner)[:500]),
    "the floor poll": lambda owner: Interest([], [], [owner.pk], False).recent(2.0),
    "a scrape of the metrics": lambda owner: list(Figures().collect()),
    "readiness": lambda owner: diagnosis.waiting(),
}


@pytest.fixture
def veteran(alice: Any) -> Any:
    """Somebody who has had many operations, of which few are under way."""
    long_ago = timezone.now() - timedelta(days=1)
    for state in (State.QUEUED, State.RUNNING, State.RETRYING, State.PAUSED, State.SUCCEEDED):
        row = Operation(name="probe.counts", owner=alice, state=state, updated_at=long_ago, run_at=long_ago)
        row.root_id = row.pk
        row.save(force_insert=True)
    copied = ", ".join(str(f.column) for f in Operation._meta.concrete_fields if f.name not in ("id", "root_id"))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO lro_operation (id, root_id, {copied}) SELECT gen_random_uuid(), gen_random_uuid(), {copied} "
            "FROM lro_operation, generate_series(1, %s) WHERE state = 'succeeded'",
            [_ENDED],
        )
        cursor.execute("ANALYZE lro_operation")
    admission._backlog.forget()
    return alice


@pytest.mark.parametrize("what", ASKED)
def test_no_hot_query_reads_the_whole_table(veteran: Any, what: str) -> None:
    with CaptureQueriesContext(connection) as asked:
        ASKED[what](veteran)
    selects = [query["sql"] for query in asked.captured_queries if query["sql"].startswith("SELECT")]
    plans = {sql: _plan(sql) for sql in selects if "lro_operation" in sql}
    assert plans
    assert [sql for sql, plan in plans.items() if "Seq Scan on lro_operation" in plan] == []


def _plan(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())


def test_what_is_active_is_what_has_not_ended() -> None:
    active, ended = Operation.objects.active(), Operation.objects.exclude(Q(pk__in=Operation.objects.active()))
    for state in State:
        Operation.objects.create(name="probe.counts", state=state, root_id="00000000-0000-7000-8000-000000000000")
    assert {row.state for row in ended} == {"succeeded", "failed", "cancelled", "expired"}
    assert active.count() + ended.count() == len(State)
