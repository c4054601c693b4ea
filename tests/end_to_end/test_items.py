"""A process that is killed in the middle of a batch: every row is done once all the same."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.end_to_end.stack import ALIAS, Stack
from tests.probe.models import Thing

pytestmark = pytest.mark.slow


def test_each_row_takes_effect_once_though_its_process_is_killed_twice(drained: Stack) -> None:
    Thing.objects.using(ALIAS).bulk_create(Thing() for _ in range(2_000))
    answer = drained.client().post("/probe/walks", json={"seconds_each": 0.002})
    assert answer.status_code == 200, answer.text
    identifier = answer.json()["id"]
    for percent in (20, 60):
        drained.await_progress(identifier, percent)
        drained.kill_child(identifier)
    operation = drained.await_end(identifier)
    assert operation.state == "succeeded", operation.error
    assert operation.attempt == 3
    rows = Thing.objects.using(ALIAS).order_by("pk").values_list("pk", "touched")
    assert Counter(touched for _, touched in rows) == {1: 1_800, 0: 200}
    assert all(touched == (key % 10 != 0) for key, touched in rows)
    rejects = operation.rejects.using(ALIAS)
    assert set(rejects.values_list("position", flat=True)) == {i for i, (key, _) in enumerate(rows) if key % 10 == 0}
    assert operation.result == {"processed": 1_800, "rejected": 200, "reject_codes": {"tenth": 200}, "dry_run": False}
