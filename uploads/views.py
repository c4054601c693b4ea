"""What is not an operation: the limits of an upload, and the datasets that there are."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .archives import max_unpacked_bytes
from .formats import OFFERED
from .models import Dataset
from .receiving import max_bytes
from .serializers import DatasetListSerializer, DatasetSerializer, LimitsSerializer


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
        row = Dataset.objects.visible_to(request.user).filter(pk=pk).first()
        if row is None:
            raise Http404
        return Response(DatasetSerializer(row).data)
