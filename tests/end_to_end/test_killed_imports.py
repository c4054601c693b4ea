"""A worker killed at random instants of an import: what is left is that of an unhurt one, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.stack import Stack
from tests.uploads.generator import Truth
from tests.uploads.killed.comparing import compare

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("parallel", ["1", "2"])
def test_an_import_killed_at_random_instants(drained: Stack, small_file: tuple[Path, Truth], parallel: str) -> None:
    path, truth = small_file
    _, found, wrong = compare(drained, path, truth, kills=4, seed=7, slowed_by=0.3, parallel=parallel)
    assert not wrong
    assert found.kills >= 2
