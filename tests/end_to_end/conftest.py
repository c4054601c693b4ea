from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests import chromium
from tests.end_to_end.stack import ALIAS, Stack, forget_connection, running
from tests.uploads.generator import Truth, write_dirty_csv
from tests.waiting import until

# The browser's driver keeps an event loop in this thread, and Django would refuse to ask the database beside it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def stack(django_db_blocker: Any) -> Iterator[Stack]:
    """The whole system, started once; the tests may kill any part of it, and it comes back."""
    with django_db_blocker.unblock(), running(LRO_METRICS_TOKEN="the-monitor's") as stack:
        stack.add_user("other")
        yield stack


@pytest.fixture
def drained(stack: Stack) -> Iterator[Stack]:
    """After the test every promise about the stored operations holds."""
    yield stack
    from lro.models import Resource
    from lro.testing import assert_consistent

    until(lambda: not Resource.objects.using(ALIAS).over().exists(), what="the reconciler had its turn")
    assert_consistent(ALIAS, is_drained=True, files=stack.files)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium.find()  # before: it may have to ask Playwright itself, which does not run within itself
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        forget_connection()  # the next module's browser may look at another stack


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("csv") / "contacts.csv"
    return path, write_dirty_csv(path, 300_000)


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("csv") / "million.csv"
    return path, write_dirty_csv(path, 1_000_000)
