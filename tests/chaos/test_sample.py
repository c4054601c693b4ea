"""A small sample of `make chaos`, each time from another seed, which it names where it fails."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.chaos.run import one_round

pytestmark = pytest.mark.slow


def test_whatever_is_killed_nothing_is_lost_and_nothing_is_done_twice(django_db_blocker: Any) -> None:
    seed = int(time.time())
    with django_db_blocker.unblock():
        found = one_round(seed, kills=25, operations=150, pause=0.4)
    assert (found["lost"], found["doubled"], found["broken"]) == (0, 0, []), f"seed {seed}: {found}"
