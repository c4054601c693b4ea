"""The component schemas say neither more nor less than the resources that clients are really shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from lro.models import Operation
from lro.runtime import control, submission
from lro.states import State
from lro.testing import assert_resource, run_attempt, run_operation
from lro.transports import payloads
from lro.transports.schemas import RESOURCES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files")]


def shown(operation: Operation, user: Any) -> dict[str, Any]:
    row = Operation.objects.get(pk=operation.pk)
    resource = payloads.operation(row, user)
    assert_resource(resource, "Operation")
    for event in row.events.all():
        assert_resource(payloads.event(event), "Event")
    return resource


def test_an_operation_is_as_documented_on_its_way(alice: Any) -> None:
    found = {shown(operation, alice)["state"] for operation in on_their_way(alice)}
    assert found == {"queued", "waiting", "retrying", "paused", "succeeded", "failed", "cancelled"}


def on_their_way(owner: Any) -> list[Operation]:
    queued = [submission.submit("probe.counts", {"to": 1}, owner).operation for _ in range(3)]
    control.pause(queued[1].pk, "alice")
    control.cancel(queued[2].pk, "alice")
    return [
        *queued,
        run_attempt("probe.splits", {"child": "probe.counts", "inputs": [{"to": 2}]}, owner),
        run_attempt("probe.flaky", {"succeeds_at": 3, "after": 60}, owner),
        run_attempt("probe.fails", {}, owner),
        run_attempt("probe.counts", {"to": 3}, owner),
    ]


@pytest.mark.parametrize("state", State)
def test_an_operation_is_as_documented_in_every_state(alice: Any, state: State) -> None:
    operation = submission.submit("probe.counts", {"to": 1}, alice).operation
    Operation.objects.filter(pk=operation.pk).update(state=state, attempt=1, started_at=Now())
    assert shown(operation, alice)["state"] == state


def test_what_an_operation_leaves_is_as_documented(alice: Any, diary: Path) -> None:
    operation = run_operation("probe.whole", {"diary": str(diary)}, alice)
    resource = shown(operation, alice)
    assert (resource["state"], resource["children"]["total"]) == ("succeeded", 2)
    for child in operation.children.all():
        shown(child, alice)
    rejects, artifacts = list(operation.rejects.all()), list(operation.artifacts.all())
    assert rejects
    assert artifacts
    for reject in rejects:
        assert_resource(payloads.reject(reject), "Reject")
    for artifact in artifacts:
        assert_resource(payloads.artifact(artifact), "Artifact")


def test_an_operation_without_an_owner_is_as_documented(db: None) -> None:
    assert shown(run_operation("probe.counts", {"to": 1}, None), None)["owner"] is None


def test_a_field_that_is_missing_wrong_or_unknown_is_found(alice: Any) -> None:
    good = shown(run_operation("probe.counts", {"to": 1}, alice), alice)
    broken: list[dict[str, Any]] = [
        {name: value for name, value in good.items() if name != "owner"},
        {**good, "surprise": 1},
        {**good, "state": "lost"},
        {**good, "id": "7"},
        {**good, "created_at": "yesterday"},
        {**good, "progress": {**good["progress"], "surprise": 1}},
        {**good, "error": {"code": "half"}},
    ]
    for resource in broken:
        with pytest.raises(AssertionError, match="is not what was sent"):
            assert_resource(resource, "Operation")


def test_every_field_has_one_name_in_the_code_and_in_the_schema(alice: Any) -> None:
    resource = shown(run_operation("probe.counts", {"to": 1}, alice), alice)
    assert list(RESOURCES["Operation"]["properties"]) == list(resource)
    assert list(RESOURCES["Progress"]["properties"]) == list(resource["progress"])
