"""What a monitor asks for: the figures of the whole system as Prometheus reads them, whichever web process answers."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Now
from django.http import HttpResponse
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ...conf import conf
from ...exceptions import Problem
from ...models import Duty, Operation, Resource
from ...models.resource import FREE
from ...runtime import reconciler, registry
from ...states import ACTIVE, TERMINAL, State
from . import documented

_MINUTE = timedelta(minutes=1)


class Figures(Collector):
    """Read from the database at each scrape, at the cost of what is under way: the ended ones are not counted."""

    def collect(self) -> Iterator[Metric]:
        yield _by_state("lro_operations", "Operations that have not ended.", Operation.objects.active(), ACTIVE)
        lately = Operation.objects.filter(
            updated_at__gt=Now() - _MINUTE, finished_at__gt=Now() - _MINUTE, state__in=TERMINAL
        )
        yield _by_state(
            "lro_operations_ended_last_minute", "Operations that ended in the last minute.", lately, TERMINAL
        )
        yield from _queues()
        yield from _workers()
        yield from _duties()
        yield from _resources()


def _by_state(name: str, text: str, rows: Any, states: frozenset[State]) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=["state"])
    counts = dict(rows.order_by().values_list("state").annotate(Count("pk")))
    for state in sorted(states):
        metric.add_metric([state.value], counts.get(state, 0))
    return metric


def _queues() -> Iterator[Metric]:
    size = GaugeMetricFamily("lro_queue_operations", "Operations that are queued.", labels=["queue"])
    text = "For how long the oldest queued operation could have begun."
    oldest = GaugeMetricFamily("lro_queue_oldest_seconds", text, labels=["queue"])
    queued = Operation.objects.filter(state=State.QUEUED).order_by().values_list("queue")
    rows = queued.annotate(count=Count("pk"), since=Min("run_at", filter=Q(run_at__lte=Now())), now=Max(Now()))
    found = {queue: figures for queue, *figures in rows}
    for queue in sorted({cls.queue for cls in registry.all_classes()} | found.keys()):
        count, since, now = found.get(queue, [0, None, None])
        size.add_metric([queue], count)
        oldest.add_metric([queue], (now - since).total_seconds() if since else 0.0)
    yield size
    yield oldest


def _workers() -> Iterator[Metric]:
    is_over = Q(lease_expires_at__lt=Now())
    held = Operation.objects.held().aggregate(
        busy=Count("worker", distinct=True, filter=~is_over), over=Count("pk", filter=is_over)
    )
    yield _gauge("lro_busy_worker_processes", "Processes that hold an operation.", held["busy"])
    yield _gauge("lro_expired_leases", "Operations that wait to be taken from a lost worker.", held["over"])


def _resources() -> Iterator[Metric]:
    is_given_up = Q(tries__gte=conf().release_tries)
    over = Resource.objects.over().filter(FREE)
    found = over.aggregate(due=Count("pk", filter=~is_given_up), given_up=Count("pk", filter=is_given_up))
    yield _gauge("lro_resources_due", "Files and cleanups that wait to be released.", found["due"])
    yield _gauge("lro_resources_given_up", "Files and cleanups that could not be released.", found["given_up"])


def _duties() -> Iterator[Metric]:
    """What the reconcilers put right; each is told from the first scrape on, or its first time would be no rise."""
    done = CounterMetricFamily("lro_duty_done", "How often a reconciler had something to do.", labels=["duty"])
    seconds = CounterMetricFamily("lro_duty_seconds", "How long that took.", labels=["duty"])
    known = {duty.__name__: (0, 0.0) for duty in reconciler.DUTIES + reconciler.CHORES}
    found = {duty.name: (duty.done, duty.seconds) for duty in Duty.objects.all()}
    for name, (count, took) in sorted((known | found).items()):
        done.add_metric([name], count)
        seconds.add_metric([name], took)
    yield done
    yield seconds


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


class ScraperToken(BaseAuthentication):
    """`LRO["METRICS_TOKEN"]`, which no database is asked for."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ScraperToken] | None:
        token, said = conf().metrics_token, request.headers.get("Authorization", "")
        if token and hmac.compare_digest(said.encode(), f"Bearer {token}".encode()):
            return AnonymousUser(), self
        return None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class MayReadMetrics(BasePermission):
    """A monitor with the token, and who may see the operations of all."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, ScraperToken) or request.user.has_perm("lro.view_all_operations")


class MetricsView(APIView):
    authentication_classes = [ScraperToken, *APIView.authentication_classes]
    permission_classes = [MayReadMetrics]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # its formats are not DRF's

    @documented.read_metrics
    def get(self, request: Request) -> HttpResponse:
        figures = CollectorRegistry()
        figures.register(Figures())
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(figures), content_type=content_type)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, (OperationalError, InterfaceError)):
            exc = Problem(503, "database_away", "The database does not answer.")
        return super().handle_exception(exc)
