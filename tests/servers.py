"""A pytest plugin: one embedded PostgreSQL and one embedded Valkey for the whole run, in a folder of its own.

Who runs pytest again and again keeps them running in `LRO_TEST_DATA_DIR`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

_IS_CONTROLLER = "PYTEST_XDIST_WORKER" not in os.environ
_GIVEN = os.environ.get("LRO_TEST_DATA_DIR")
_stack = ExitStack()

if _IS_CONTROLLER:
    os.environ["LRO_DATA_DIR"] = _GIVEN or tempfile.mkdtemp(prefix="lro-tests-")
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("REDIS_URL", None)


def pytest_configure(config: pytest.Config) -> None:
    if _IS_CONTROLLER and not config.option.collectonly:
        from config.embedded import serving

        _stack.enter_context(serving())


def pytest_unconfigure(config: pytest.Config) -> None:
    if _IS_CONTROLLER:
        _stack.close()
    if _IS_CONTROLLER and not _GIVEN:
        shutil.rmtree(Path(os.environ["LRO_DATA_DIR"]), ignore_errors=True)
