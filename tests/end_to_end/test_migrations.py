"""A data migration whose processes are killed, and which is paused and throttled: each row is changed exactly once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.stack import running
from tests.migrations_app.ordeal import SIGNAL, ordeal

pytestmark = pytest.mark.slow


def test_each_row_is_changed_once_whatever_happens(tmp_path: Path, django_db_blocker: Any) -> None:
    signal = tmp_path / "throttle"
    with django_db_blocker.unblock(), running(**{SIGNAL: str(signal)}) as stack:
        operation = ordeal(stack, signal, rows=60_000, kills=3, seed=3, pause=0.3)
    assert operation.attempt >= 2
