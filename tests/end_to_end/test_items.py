"""A process that is killed in the middle of a batch: every row is done once all the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.end_to_end.stack import ALIAS, Stack
from tests.end_to_end.test_stopping import start
from tests.probe.models import Thing
from tests.waiting import until

pytestmark = pytest.mark.slow


def done(stack: Stack, identifier: str) -> int:
    """How many rows are behind it for good; its progress is not written while it hangs in a batch."""
    checkpoint: Any = stack.operation(identifier).checkpoint
    return int(checkpoint["done"]) if checkpoint else 0


def test_each_row_takes_effect_once_though_its_process_is_killed_twice(drained: Stack) -> None:
    things = Thing.objects.using(ALIAS).bulk_create(Thing() for _ in range(2_000))
    positions = [450, 1250]
    identifier = start(drained, "probe.walks", hangs_at=[things[position].pk for position in positions])
    for position in positions:
        until(lambda position=position: done(drained, identifier) > position - 20, what=f"it hangs at {position}")
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
