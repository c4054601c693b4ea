"""Parents and children on real workers."""

from __future__ import annotations

import pytest

from lro.models import Operation
from tests.end_to_end.stack import ALIAS, Stack
from tests.end_to_end.test_stopping import start
from tests.waiting import until

pytestmark = pytest.mark.slow


def children(parent: str) -> list[Operation]:
    return list(Operation.objects.using(ALIAS).filter(parent_id=parent).order_by("child_index"))


def test_a_parent_goes_on_though_the_process_of_its_child_is_killed(drained: Stack) -> None:
    with drained.gate.holding_at(10):
        identifier = start(drained, "probe.splits", child="probe.saves", inputs=[{"to": 40}] * 2)
        child = until(lambda: [row for row in children(identifier) if row.checkpoints > 4], what="a child at work")[0]
        drained.kill_child(str(child.pk))
    parent = drained.await_end(identifier)
    assert parent.result["states"] == ["succeeded", "succeeded"]
    assert [row.rejected for row in children(identifier)] == [40, 40]


def test_a_family_is_cancelled_within_seconds(drained: Stack) -> None:
    inputs = [{"to": 1000, "seconds_each": 0.05}] * 300
    identifier = start(drained, "probe.splits", child="probe.counts", inputs=inputs)
    until(lambda: drained.state(identifier) == "waiting", what="it has split")
    until(lambda: any(row.state == "running" for row in children(identifier)), what="a child at work")
    drained.client().post(f"/operations/{identifier}/cancel")
    assert drained.state(identifier) == "cancelled"
    until(lambda: {row.state for row in children(identifier)} == {"cancelled"}, what="all are cancelled")


def test_children_are_listed_with_their_parent_and_not_among_the_others(drained: Stack) -> None:
    identifier = start(drained, "probe.splits", child="probe.counts", inputs=[{"to": 1}, {"to": 2}, {"to": 3}])
    drained.await_end(identifier)
    client = drained.client()
    assert client.get(f"/operations/{identifier}").json()["children"] == {"total": 3, "done": 3, "failed": 0}
    page = client.get(f"/operations/{identifier}/children/", params={"limit": 2}).json()
    rest = client.get(page["next"]).json()
    assert [row["input"]["to"] for row in page["results"] + rest["results"]] == [1, 2, 3]
    assert rest["next"] is None
    assert all(row["parent_id"] is None for row in client.get("/operations/").json()["results"])
