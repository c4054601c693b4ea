"""A pytest plugin: one embedded PostgreSQL and one embedded Valkey for the whole run, in a folder of its own.

Who runs pytest again and again keeps them running in `LRO_TEST_DATA_DIR`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

_IS_CONTROLLER = "PYTEST_XDIST_WORKER" not in os.environ
_IS_SQLITE = bool(os.environ.get("LRO_TEST_SQLITE"))  # `make test-sqlite`
_GIVEN = os.environ.get("LRO_TEST_DATA_DIR")
_stack = ExitStack()

# Some hundred processes are started: where no compiled code may be kept, each compiles the whole project again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

if _IS_CONTROLLER:
    os.environ["LRO_DATA_DIR"] = _GIVEN or tempfile.mkdtemp(prefix="lro-tests-")
    os.environ.pop("DATABASE_URL", None)
    if _IS_SQLITE:
        os.environ["DATABASE_URL"] = f"sqlite:///{os.environ['LRO_DATA_DIR']}/lro.sqlite3"
    os.environ.pop("REDIS_URL", None)
    # Another pytest that begins closes the folder that all share to everybody else: also to servers' own users.
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = _temporary = tempfile.mkdtemp(prefix="lro-")
        atexit.register(shutil.rmtree, _temporary, ignore_errors=True)  # after pytest's own tidying


def pytest_configure(config: pytest.Config) -> None:
    if _IS_CONTROLLER and not config.option.collectonly:
        from config.embedded import serving

        _stack.enter_context(serving())
        if not _IS_SQLITE:
            _hurry_postgres()


def _hurry_postgres() -> None:
    """Write to the disk when it suits: no test cuts the power of this server, nor kills it."""
    import psycopg

    from config.data_directory import DataDirectory

    sockets = str(DataDirectory.from_environment().postgres_sockets)
    with psycopg.connect(host=sockets, user="postgres", dbname="postgres", autocommit=True) as connection:
        for name in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {name} = off".encode())
        connection.execute("SELECT pg_reload_conf()")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _IS_CONTROLLER:
        _stack.close()
    if _IS_CONTROLLER and not _GIVEN:
        shutil.rmtree(Path(os.environ["LRO_DATA_DIR"]), ignore_errors=True)
