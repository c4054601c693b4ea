"""Who holds what, and whether it is still there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from lro.lifecycle import leases

from .worn import worn


def test_a_machine_is_known_by_its_name_and_its_namespace_of_processes() -> None:
    namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    assert leases.node.__wrapped__() == leases.node() == f"{socket.gethostname()}.{namespace}"


def test_a_worker_is_known_by_its_machine_and_both_processes() -> None:
    assert leases.worker_name(7, 8) == f"{leases.node()}/7/8"


def test_a_worker_runs_while_both_of_its_processes_do() -> None:
    mine = os.getpid()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert leases.is_running(leases.worker_name(mine, mine))
    assert not leases.is_running(leases.worker_name(ended.pid, mine))
    assert not leases.is_running(leases.worker_name(mine, ended.pid))


def test_a_process_that_was_not_buried_yet_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as zombie:
        assert zombie.stdout is not None
        zombie.stdout.read()  # it has ended, and nobody has waited for it
        while not leases._is_zombie(zombie.pid):
            pass
        assert not leases.is_alive(zombie.pid)


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_a_process_that_is_frozen_in_a_transaction_keeps_its_rows_from_nobody_for_long(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("20s",)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_who_finds_a_row_locked_does_not_wait_for_it(alice: Any) -> None:
    operation = worn(alice)

    def elsewhere() -> bool:
        with transaction.atomic():
            is_locked = leases.lock(operation.pk)
        connection.close()
        return is_locked

    with ThreadPoolExecutor(1) as other, transaction.atomic():
        assert leases.lock(operation.pk)
        assert not other.submit(elsewhere).result(timeout=60)
