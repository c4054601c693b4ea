"""`/metrics`: what a monitor reads, who may, and that any web process answers for the whole system."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from prometheus_client import openmetrics, parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from lro.lifecycle import transitions
from lro.models import Duty, Operation, Resource
from lro.runtime import control, reconciler, submission
from lro.states import ACTIVE, TERMINAL
from lro.testing import cut, run_attempt

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "a token of the monitor"
DOCUMENTED = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
Samples = dict[tuple[str, str], float]


@pytest.fixture(autouse=True)
def _with_a_token(settings: Any) -> None:
    settings.LRO = {**settings.LRO, "METRICS_TOKEN": TOKEN}


@pytest.fixture
def monitor() -> Client:
    return Client(headers={"Authorization": f"Bearer {TOKEN}"})


def scraped(monitor: Client) -> Samples:
    """The value of each sample by its name and its only label."""
    answer = monitor.get("/metrics")
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = parser.text_string_to_metric_families(answer.content.decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, "".join(sample.labels.values())): sample.value for sample in samples}


def by_label(samples: Samples, name: str) -> dict[str, float]:
    return {label: value for (known, label), value in samples.items() if known == name}


def queued(owner: Any, name: str = "probe.counts", **data: Any) -> Operation:
    return submission.submit(name, data or {"to": 1}, owner).operation


def test_operations_are_told_by_their_state(monitor: Client, alice: Any) -> None:
    for ends in ("probe.counts", "probe.counts", "probe.fails"):
        run_attempt(ends, {"to": 1}, alice)
    old = run_attempt("probe.counts", {"to": 1}, alice)
    Operation.objects.filter(pk=old.pk).update(updated_at=Now() - timedelta(hours=1))
    queued(alice)
    control.act("pause", queued(alice).pk, "alice")
    samples = scraped(monitor)
    nothing = dict.fromkeys(ACTIVE, 0)
    assert by_label(samples, "lro_operations") == {**nothing, "queued": 1, "paused": 1}
    ended = {**dict.fromkeys(TERMINAL, 0), "succeeded": 2, "failed": 1}
    assert by_label(samples, "lro_operations_ended_last_minute") == ended


def test_each_queue_says_how_much_waits_and_for_how_long(monitor: Client, alice: Any) -> None:
    assert by_label(scraped(monitor), "lro_queue_operations")["default"] == 0, "an empty queue is there too"
    first, later = queued(alice), queued(alice)
    Operation.objects.filter(pk=first.pk).update(run_at=Now() - timedelta(hours=1))
    Operation.objects.filter(pk=later.pk).update(run_at=Now() + timedelta(hours=1), queue="another")
    samples = scraped(monitor)
    sizes, ages = by_label(samples, "lro_queue_operations"), by_label(samples, "lro_queue_oldest_seconds")
    assert (sizes["default"], sizes["another"]) == (1, 1)
    assert 3600 <= ages["default"] < 3660
    assert ages["another"] == 0, "it may not begin yet"


def test_a_worker_is_seen_by_what_it_holds_and_missed_by_what_it_held(monitor: Client, alice: Any) -> None:
    for worker in ("here/1/1", "here/1/2", "gone/1/1"):
        assert transitions.claim(queued(alice).pk, worker) is not None
    assert scraped(monitor)["lro_busy_worker_processes", ""] == 3
    Operation.objects.filter(worker="gone/1/1").update(lease_expires_at=Now() - timedelta(seconds=1))
    samples = scraped(monitor)
    assert (samples["lro_busy_worker_processes", ""], samples["lro_expired_leases", ""]) == (2, 1)


def test_what_the_reconcilers_did_is_counted_for_all_of_them(monitor: Client, alice: Any) -> None:
    assert by_label(scraped(monitor), "lro_duty_done_total")["rescue_expired"] == 0, "told before the first time"
    transitions.claim(queued(alice).pk, "gone/1/1")
    Operation.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    reconciler.reconcile([reconciler.rescue_expired])
    samples = scraped(monitor)
    assert samples["lro_duty_done_total", "rescue_expired"] == 1
    assert samples["lro_duty_seconds_total", "rescue_expired"] == Duty.objects.get().seconds > 0


def test_what_was_left_behind_is_due_until_it_is_given_up(monitor: Client) -> None:
    for tries in (0, 0, 99):
        Resource.objects.create(kind="file", data={"name": "a"}, tries=tries)
    samples = scraped(monitor)
    assert (samples["lro_resources_due", ""], samples["lro_resources_given_up", ""]) == (2, 1)


def test_a_scraper_that_accepts_openmetrics_is_answered_in_it(monitor: Client, alice: Any) -> None:
    queued(alice)
    asked = f"{openmetrics.exposition.CONTENT_TYPE_LATEST};q=0.9,*/*;q=0.1"
    answer = monitor.get("/metrics", headers={"Accept": asked})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families = openmetrics_parser.text_string_to_metric_families(answer.content.decode())
    assert "lro_duty_done" in {family.name for family in families}


@pytest.mark.parametrize("accepts", ["text/plain", "application/json", "text/html", "*/*"])
def test_whatever_else_it_accepts_it_is_answered_in_text(monitor: Client, accepts: str) -> None:
    answer = monitor.get("/metrics", headers={"Accept": accepts})
    assert (answer.status_code, answer.headers["Content-Type"][:11]) == (200, "text/plain;")


@pytest.mark.parametrize("said", ["", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"])
@pytest.mark.parametrize("token", [TOKEN, ""])
def test_nobody_else_reads_them(settings: Any, token: str, said: str) -> None:
    settings.LRO = {**settings.LRO, "METRICS_TOKEN": token}
    answer = Client(headers={"Authorization": said}).get("/metrics")
    assert answer.status_code == 401
    assert "lro_" not in answer.content.decode()
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_of_the_users_those_read_them_who_may_see_the_operations_of_all(client: Client, alice: Any) -> None:
    client.force_login(alice)
    assert client.get("/metrics").status_code == 403
    alice.user_permissions.add(Permission.objects.get(codename="view_all_operations"))
    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("asks", ["the monitor", "a user"])
def test_without_the_database_there_are_no_figures(monitor: Client, admin_client: Client, asks: str) -> None:
    cut()
    try:
        answer = (monitor if asks == "the monitor" else admin_client).get("/metrics")
    finally:
        connection.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "database_away")
    assert scraped(monitor), "it is back"


def test_each_metric_is_documented_and_none_beside(monitor: Client) -> None:
    section = DOCUMENTED.read_text().partition("\n## Metrics\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(lro_\w+)", section, re.MULTILINE)) == {name for name, _ in scraped(monitor)}
