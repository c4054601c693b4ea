"""Whatever is killed in the middle of an import, it goes on by itself and ends exactly right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.follower import assert_heard_all
from tests.end_to_end.stack import ALIAS, Stack
from tests.end_to_end.transports import WebSocketFollower
from tests.uploads.generator import Truth
from uploads.models import Dataset

pytestmark = pytest.mark.slow

HURTS = [Stack.kill_child, Stack.kill_worker, Stack.flush_valkey, Stack.restart_postgres, Stack.kill_web]


@pytest.mark.parametrize("hurt", HURTS, ids=lambda hurt: hurt.__name__)
def test_an_import_survives(drained: Stack, small_file: tuple[Path, Truth], hurt: Any) -> None:
    path, truth = small_file
    with drained.gate.holding_at(20):
        identifier = drained.upload(drained.client(), path)["id"]
        follower = WebSocketFollower(drained, identifier)
        follower.start()
        drained.await_progress(identifier, 20)
        hurt(drained, identifier)
    assert_imported_exactly(drained, identifier, truth)
    assert_heard_all(follower, identifier)
    if hurt in (Stack.kill_child, Stack.kill_worker):
        assert drained.operation(identifier).attempt == 2


def test_an_import_of_a_million_rows_survives_all_of_them_in_turn(
    drained: Stack, large_file: tuple[Path, Truth]
) -> None:
    path, truth = large_file
    percents = (10, 25, 40, 55, 70)
    with drained.gate.holding_at(percents[0]):
        identifier = drained.upload(drained.client(), path)["id"]
        follower = WebSocketFollower(drained, identifier)
        follower.start()
        for percent, hurt in zip(percents, HURTS, strict=True):
            drained.gate.hold_at(percent)
            drained.await_progress(identifier, percent)
            hurt(drained, identifier)
    assert_imported_exactly(drained, identifier, truth)
    assert_heard_all(follower, identifier)
    assert follower.connections >= 2


def assert_imported_exactly(stack: Stack, identifier: str, truth: Truth) -> None:
    operation = stack.await_end(identifier)
    assert operation.state == "succeeded", operation.error
    rejects = list(operation.rejects.using(ALIAS).values_list("position", "code"))
    assert sorted(rejects) == sorted(truth.rejects)
    assert operation.result["rows"] == truth.good_rows
    assert operation.result["reject_codes"] == Counter(code for _, code in truth.rejects)
    assert stored_ids(stack, identifier) == truth.good_rows


def stored_ids(stack: Stack, identifier: str) -> int:
    """The number of different ids in the dataset's parts, having checked that none is there twice."""
    dataset = Dataset.objects.using(ALIAS).get(operation_id=identifier)
    folder = stack.folder / "data" / "files" / "datasets" / str(dataset.pk)
    names = list(dataset.parts.using(ALIAS).values_list("file", flat=True))
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    ids = pq.ParquetDataset([folder / name for name in names]).read(columns=["id"])["id"]
    assert len(ids) == len(pc.unique(ids))
    return len(ids)
