"""What is done to a calculation that runs, beside what is done to any operation: end it early, read its table."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models.functions import Now
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lro import Operation, Problem

from .models import EarlyEnd
from .results import TableResult
from .sweeping import table

#: What has blocks, and so an answer before its end.
_ENDS_EARLY = ("monte-carlo", "bootstrap", "describe", "regression")
_AT_WORK = ("running", "waiting", "retrying")


class StopResult(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    state = serializers.CharField()
    stopping = serializers.BooleanField()


class StopView(APIView):
    @extend_schema(
        operation_id="stop_calculation",
        summary="End a calculation with the answer so far",
        description="Its result says `stopped_early`. A repeat is harmless.",
        request=None,
        responses={200: StopResult, 404: None, 409: None},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        operation = _visible(request.user, pk, *_ENDS_EARLY)
        if operation.owner_id != request.user.pk and not request.user.has_perm("lro.cancel_operation"):
            raise Http404
        if not _is_at_work(operation):
            message = f"The calculation is {operation.state}; only one that runs can be ended with its answer so far."
            raise Problem(409, "not_allowed_now", message)
        wish = {"requested_by_id": request.user.pk, "requested_at": Now()}
        EarlyEnd.objects.update_or_create(operation=operation, defaults=wish)
        return Response(StopResult({"id": operation.pk, "state": operation.state, "stopping": True}).data)


class TableView(APIView):
    @extend_schema(operation_id="read_sweep_table", summary="Read a sweep's table as it fills", responses=TableResult)
    def get(self, request: Request, pk: UUID) -> Response:
        operation = _visible(request.user, pk, "sweep")
        rows = table(operation)
        done = sum(row["state"] == "succeeded" for row in rows)
        return Response(TableResult({"points": operation.input["points"], "done": done, "rows": rows}).data)


def _visible(user: Any, pk: UUID, *kinds: str) -> Operation:
    names = [f"calculations.{kind}" for kind in kinds]
    operation: Operation | None = Operation.objects.visible_to(user).filter(pk=pk, name__in=names).first()
    if operation is None:
        raise Http404
    return operation


def _is_at_work(operation: Operation) -> bool:
    """A family whose children have just ended is queued again for a moment."""
    return operation.state in _AT_WORK or (operation.state == "queued" and operation.attempt > 0)
