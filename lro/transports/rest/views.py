"""One view per resource and per verb: nothing here but HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import FileResponse, HttpResponseBase
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ...exceptions import Problem
from ...models import Operation
from ...runtime import submission
from .. import access, payloads
from . import documented, pages, rejects
from .openapi import StartSchema, VerbSchema
from .parsers import BoundedJSONParser

_POLL_SECONDS = "1"


class StartView(APIView):
    """`POST /{module}/{operation}`: all cheap checks, then an operation, at once."""

    schema = StartSchema()
    parser_classes = [BoundedJSONParser, MultiPartParser, FormParser]

    def post(self, request: Request, module: str, operation: str) -> Response:
        name, data = f"{module}.{operation}", request.data
        if request.query_params.get("validate_only") == "true":
            submission.check(name, data, request.user)
            return Response({"valid": True})
        key = request.headers.get("Idempotency-Key", "").strip('" ')
        if len(key) > 255:
            raise Problem(400, "invalid_idempotency_key", "An Idempotency-Key has at most 255 characters.")
        made = submission.submit(name, data, request.user, idempotency_key=key)
        return _started(request, made)


def _started(request: Request, made: submission.Submission) -> Response:
    body = payloads.operation(made.operation, request.user)
    location = request.build_absolute_uri(body["links"]["self"])
    headers = {
        "Location": location,
        "Operation-Location": location,
        "Operation-Id": body["id"],
        "Retry-After": _POLL_SECONDS,
    }
    if made.is_replayed:
        headers["Idempotency-Replayed"] = "true"
    preferences = [part.strip() for part in request.headers.get("Prefer", "").split(",")]
    if "respond-async" in preferences:
        return Response(body, status=202, headers=headers | {"Preference-Applied": "respond-async"})
    return Response(body, headers=headers)


class OperationListView(APIView):
    @documented.list_operations
    def get(self, request: Request) -> Response:
        return Response(pages.operations(request))


class OperationView(APIView):
    @documented.read_operation
    def get(self, request: Request, pk: UUID) -> Response:
        row = access.visible_operation(request.user, pk)
        # What a retried child changes of a parent that has ended is no event of the parent.
        tag = f'"{row.pk}:{row.children_pending}:{row.children_failed}:{row.last_sequence}"'
        headers = {"ETag": tag} | ({} if row.is_terminal else {"Retry-After": _POLL_SECONDS})
        if request.headers.get("If-None-Match") == tag:
            return Response(status=304, headers=headers)
        return Response(payloads.operation(row, request.user), headers=headers)

    @documented.delete_operation
    def delete(self, request: Request, pk: UUID) -> Response:
        access.delete(request.user, pk)
        return Response(status=204)


class EventStreamRenderer(JSONRenderer):
    """Lets a client that accepts only a stream pass the view's checks; `live` makes the stream."""

    media_type = "text/event-stream"


class EventListView(APIView):
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    @documented.list_events
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(pages.events(request, access.visible_operation(request.user, pk)))


class RejectListView(APIView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # `format` is this view's own parameter

    @documented.list_rejects
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        row = access.visible_operation(request.user, pk)
        if request.query_params.get("format") == "csv":
            return rejects.as_csv(row)
        return Response(pages.rejects(request, row))


class ChildListView(APIView):
    @documented.list_children
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(pages.children(request, access.visible_operation(request.user, pk)))


class ArtifactListView(APIView):
    @documented.list_artifacts
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(pages.artifacts(request, access.visible_operation(request.user, pk)))


class ArtifactView(APIView):
    @documented.download_artifact
    def get(self, request: Request, pk: UUID, artifact: UUID) -> HttpResponseBase:
        row = access.visible_operation(request.user, pk)
        found = row.artifacts.filter(pk=artifact).first()
        if found is None:
            raise Problem(404, "not_found", "There is no such artifact.")
        return FileResponse(found.file.open("rb"), as_attachment=True, filename=found.name)


class VerbView(APIView):
    """`POST /operations/{id}/{cancel,pause,resume,retry}`: the verb is given by the route."""

    schema = VerbSchema()
    verb = ""

    def post(self, request: Request, pk: UUID) -> Response:
        options: dict[str, Any] = {}
        if self.verb == "retry":
            options["source"] = (
                request.data.get("from", "checkpoint") if isinstance(request.data, dict) else "checkpoint"
            )
            if options["source"] not in ("checkpoint", "start"):
                raise Problem(400, "invalid", "'from' is 'checkpoint' or 'start'.", [{"pointer": "/from"}])
        row: Operation = access.act(request.user, self.verb, pk, **options)
        return Response(payloads.operation(row, request.user))
