"""What is not an operation: the limits of an upload, and the datasets that there are."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lro import Operation, Problem
from lro.transports.rest.documented import problems, query

from . import deletion
from .archives import max_unpacked_bytes
from .formats import OFFERED
from .models import Dataset
from .receiving import max_bytes
from .serializers import DatasetListSerializer, DatasetSerializer, LimitsSerializer, RowsSerializer

DOWNLOADS = ("csv", "parquet")
MAX_ROWS = 500


class LimitsView(APIView):
    @extend_schema(operation_id="upload_limits", summary="What may be uploaded", responses=LimitsSerializer)
    def get(self, request: Request) -> Response:
        limits = {"max_bytes": max_bytes(), "max_unpacked_bytes": max_unpacked_bytes(), "formats": OFFERED}
        return Response(LimitsSerializer(limits).data)


class DatasetListView(APIView):
    @extend_schema(
        operation_id="list_datasets", summary="The newest datasets, at most 100", responses=DatasetListSerializer
    )
    def get(self, request: Request) -> Response:
        rows = Dataset.objects.visible_to(request.user).exclude(ready_at=None).order_by("-pk")[:100]
        return Response(DatasetListSerializer({"results": rows}).data)


class DatasetView(APIView):
    @extend_schema(operation_id="read_dataset", summary="Read a dataset", responses=DatasetSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(DatasetSerializer(_dataset(request, pk)).data)

    @extend_schema(
        operation_id="delete_dataset",
        summary="Delete a dataset",
        description="With its files. Refused while an operation reads it (`dataset_in_use`, which names them).",
        responses={204: None, **problems(403, 404, 409)},
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        deletion.delete(_dataset(request, pk), request.user)
        return Response(status=204)


class DatasetRowsView(APIView):
    @extend_schema(
        operation_id="preview_dataset",
        summary="The first rows of a dataset",
        parameters=[query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_ROWS, "default": 20}, "How many.")],
        responses={200: RowsSerializer, **problems(400, 404, 409)},
    )
    def get(self, request: Request, pk: UUID) -> Response:
        limit = request.query_params.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_ROWS:
            raise Problem(400, "invalid", f"limit is a number from 1 to {MAX_ROWS}.", [{"pointer": "/limit"}])
        from .parts import first_rows

        dataset = _ready_dataset(request, pk)
        return Response({"columns": dataset.columns, "rows": first_rows(dataset, int(limit))})


class DatasetDownloadView(APIView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # `format` is this view's own parameter

    @extend_schema(
        operation_id="download_dataset",
        summary="Download a dataset as one file",
        parameters=[query("format", {"type": "string", "enum": [*DOWNLOADS], "default": "csv"}, "Of the file.")],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/vnd.apache.parquet"): OpenApiTypes.BINARY,
            **problems(400, 404, 409),
        },
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        kind = request.query_params.get("format", "csv")
        if kind not in DOWNLOADS:
            raise Problem(400, "invalid", f"format is one of {', '.join(DOWNLOADS)}.", [{"pointer": "/format"}])
        from .downloads import dataset_file  # arrays and Arrow are loaded by who needs them

        return dataset_file(_ready_dataset(request, pk), kind)


class RepairView(APIView):
    @extend_schema(
        operation_id="download_rejects_to_repair",
        summary="The rejects of an import, to be repaired and sent again",
        description=(
            "In the dialect of the file. The columns `_line`, `_code` and `_message` stand first: an import ignores "
            "them. After them come the values as they were, too few or too many where that is what was wrong."
        ),
        responses={(200, "text/csv"): OpenApiTypes.STR, **problems(404, 409)},
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        operation = Operation.objects.visible_to(request.user).filter(pk=pk, name="uploads.import").first()
        if operation is None:
            raise Http404
        from .downloads import repair_file
        from .layout import Layout

        if not Layout.from_json(operation.input["layout"]).is_delimited:
            message = f"Only rejects of CSV and TSV files have columns; see /operations/{pk}/rejects/?format=csv."
            raise Problem(409, "not_delimited", message)
        return repair_file(operation)


def _dataset(request: Request, pk: UUID) -> Dataset:
    row: Dataset | None = Dataset.objects.visible_to(request.user).filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


def _ready_dataset(request: Request, pk: UUID) -> Dataset:
    row = _dataset(request, pk)
    if not row.is_ready:
        raise Problem(409, "dataset_not_ready", f"The dataset {row.name} is still being imported.")
    return row
