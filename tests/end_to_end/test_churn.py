"""Many followers that come and go, and frames that no client should send: samples of `make churn` and `make fuzz`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end import churn, fuzz
from tests.end_to_end.stack import Stack, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def busy(django_db_blocker: Any) -> Iterator[Stack]:
    with django_db_blocker.unblock(), running(LRO_TEST_SETTINGS=json.dumps(churn.SETTINGS | fuzz.SETTINGS)) as stack:
        yield stack


def test_followers_that_come_and_go_hear_everything_once_and_leave_nothing_behind(busy: Stack) -> None:
    churn.warm_up(busy)
    with churn.nothing_is_kept(busy):
        wanderers = asyncio.run(churn.wander(busy, followers=40, seconds=12, kill_every=5, seed=7))
    assert sum(wanderer.connections for wanderer in wanderers) > 100
    assert list(churn.differences(wanderers)) == []


def test_whatever_it_is_sent_the_server_answers_by_name_and_the_stream_goes_on(busy: Stack) -> None:
    written = len(busy.log.read_text())
    answers = asyncio.run(fuzz.attack(busy, sequences=800, seed=3))
    assert answers["pong"] >= 800
    assert {"bad_frame", "bad_operation", "bad_target", "unknown_type", "event", "acknowledged"} <= set(answers)
    log = "\n".join(fuzz.of_the_web(busy.log.read_text()[written:]))
    assert "Traceback" not in log, log[max(0, log.index("Traceback") - 500) :][:3000]
