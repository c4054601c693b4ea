"""What is not an operation: the migrations that there are, the plan of one, and leave to go on with changed code."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lro import Problem

from . import history, planning, plans, registry
from .models import Run
from .serializers import MigrationList, PastRun, PlanSerializer


class MayRun(BasePermission):
    message = "It needs the permission migrations_app.run_migration."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user and request.user.has_perm("migrations_app.run_migration"))


class MigrationListView(APIView):
    permission_classes = [MayRun]

    @extend_schema(operation_id="list_migrations", summary="The data migrations", responses=MigrationList)
    def get(self, request: Request) -> Response:
        return Response(MigrationList({"results": plans.all_summaries()}).data)


class PlanView(APIView):
    permission_classes = [MayRun]

    @extend_schema(
        operation_id="plan_migration",
        summary="What a data migration would do",
        parameters=[OpenApiParameter("parameters", str, description="Its parameters, as a JSON object.")],
        responses=PlanSerializer,
    )
    def get(self, request: Request, name: str) -> Response:
        migration = registry.find(name)
        if migration is None:
            raise Http404
        return Response(PlanSerializer(plans.plan_of(migration, _parameters(request), request.user)).data)


class ConfirmCodeView(APIView):
    permission_classes = [MayRun]

    @extend_schema(
        operation_id="confirm_migration_code",
        summary="Let a run go on though the migration's code was changed",
        description="Then resume or retry its operation. Who confirmed it stays in the history.",
        request=None,
        responses=PastRun,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        run = Run.objects.filter(pk=pk).first()
        migration = registry.find(run.migration) if run else None
        if run is None or migration is None:
            raise Http404
        values = {"confirmed_code": planning.fingerprint(migration), "confirmed_by": request.user.get_username()}
        Run.objects.filter(pk=pk).update(**values)
        runs: list[Any] = history.runs_of([run.migration])[run.migration]
        return Response(PastRun(history.shown(next(each for each in runs if each.pk == run.pk))).data)


def _parameters(request: Request) -> dict[str, Any]:
    try:
        parameters = json.loads(request.query_params.get("parameters") or "{}")
    except ValueError:
        parameters = None
    if not isinstance(parameters, dict):
        message = "'parameters' must be a JSON object."
        raise Problem(400, "invalid", message, [{"parameter": "parameters", "message": message}])
    return parameters
