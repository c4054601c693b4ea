"""Rule sets: made, read, changed to a new version, deleted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lro import Problem

from . import rule_sets
from .models import RuleSet, RuleSetVersion
from .parsers import YamlParser
from .serializers import RuleSetInput, RuleSetListSerializer, RuleSetSerializer, VersionListSerializer

_VERSION = OpenApiParameter("version", int, OpenApiParameter.QUERY, description="Else the newest.")
_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The version that is to be replaced, as its `ETag`."
)


class RuleSetListView(APIView):
    parser_classes = [JSONParser, YamlParser]

    @extend_schema(
        operation_id="list_rule_sets", summary="Your rule sets, at most 200", responses=RuleSetListSerializer
    )
    def get(self, request: Request) -> Response:
        rows = RuleSet.objects.visible_to(request.user)[:200]
        return Response(RuleSetListSerializer({"results": rows}).data)

    @extend_schema(
        operation_id="create_rule_set",
        summary="Store rules under a name",
        request=RuleSetInput,
        responses={201: RuleSetSerializer},
    )
    def post(self, request: Request) -> Response:
        data = _valid(request)
        made = rule_sets.create(data["name"], rule_sets.rules_of(data), request.user)
        return _answer(_newest(made), status=201)


class RuleSetView(APIView):
    parser_classes = [JSONParser, YamlParser]

    @extend_schema(
        operation_id="read_rule_set", summary="Read a rule set", parameters=[_VERSION], responses=RuleSetSerializer
    )
    def get(self, request: Request, pk: UUID) -> Response:
        row = _visible(request, pk)
        wanted = request.query_params.get("version", str(row.version))
        if not wanted.isdecimal() or len(wanted) > 9:
            raise Problem(400, "invalid", "'version' is a whole number.", [{"parameter": "version"}])
        found = row.versions.filter(version=int(wanted)).first()
        if found is None:
            raise Http404
        return _answer(found)

    @extend_schema(
        operation_id="change_rule_set",
        summary="Give a rule set a new version",
        description="The same rules again make no new version.",
        parameters=[_IF_MATCH],
        request=RuleSetInput,
        responses=RuleSetSerializer,
    )
    def put(self, request: Request, pk: UUID) -> Response:
        row, data = _owned(request, pk), _valid(request)
        known = request.headers.get("If-Match", "").strip('" ')
        rules = rule_sets.rules_of(data)
        changed = rule_sets.replace(
            row.pk, data["name"], rules, request.user, int(known) if known.isdecimal() else None
        )
        return _answer(_newest(changed))

    @extend_schema(operation_id="delete_rule_set", summary="Delete a rule set and its versions", responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        _owned(request, pk).delete()
        return Response(status=204)


class VersionListView(APIView):
    @extend_schema(
        operation_id="list_rule_set_versions",
        summary="The versions of a rule set, the newest first",
        responses=VersionListSerializer,
    )
    def get(self, request: Request, pk: UUID) -> Response:
        rows = _visible(request, pk).versions.select_related("author")[:200]
        return Response(VersionListSerializer({"results": rows}).data)


def _valid(request: Request) -> dict[str, Any]:
    serializer = RuleSetInput(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _visible(request: Request, pk: UUID) -> Any:
    row = RuleSet.objects.visible_to(request.user).filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


def _owned(request: Request, pk: UUID) -> Any:
    """Others' rule sets are to look at, also for staff."""
    row = _visible(request, pk)
    if row.owner_id != request.user.pk:
        raise Problem(403, "permission_denied", "Only its owner may change a rule set.")
    return row


def _newest(row: RuleSet) -> Any:
    return row.versions.get(version=row.version)


def _answer(version: RuleSetVersion, status: int = 200) -> Response:
    row = version.rule_set
    body = {"id": row.pk, "name": row.name, "version": version.version, "rules": version.rules}
    body["created_at"] = version.created_at
    return Response(RuleSetSerializer(body).data, status=status, headers={"ETag": f'"{version.version}"'})
