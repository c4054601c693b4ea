"""What is not an operation: the limits of an upload, and the datasets that there are."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .models import Dataset
from .receiving import max_bytes

FORMATS = ["csv", "tsv"]


class LimitsView(APIView):
    def get(self, request: Request) -> Response:
        return Response({"max_bytes": max_bytes(), "formats": FORMATS})


class DatasetListView(APIView):
    def get(self, request: Request) -> Response:
        rows = Dataset.objects.visible_to(request.user).exclude(ready_at=None).order_by("-pk")[:100]
        return Response({"results": [_resource(row) for row in rows]})


class DatasetView(APIView):
    def get(self, request: Request, pk: UUID) -> Response:
        row = Dataset.objects.visible_to(request.user).filter(pk=pk).first()
        if row is None:
            raise Http404
        return Response(_resource(row))


def _resource(row: Dataset) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "rows": row.rows,
        "bytes": row.bytes,
        "sha256": row.sha256,
        "columns": row.columns,
        "operation": str(row.operation_id),
    }
