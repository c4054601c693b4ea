"""What was sent and what came of it, to look at: both change only by operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from lro import Operation, datasets

from .models import Dataset, ResumableUpload, Upload

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = admin.ModelAdmin


_SHOWN = 50


class ReadOnlyAdmin(Base):
    ordering = ("-id",)
    sortable_by = ()
    show_full_result_count = False
    list_select_related = ("owner",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        visible: QuerySet[Any] = self.model.objects.visible_to(request.user).order_by("-pk")
        return visible

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.display(description="Size")
def size_on_disk(row: Upload | Dataset) -> str:
    return str(filesizeformat(row.size if isinstance(row, Upload) else row.bytes))


@admin.display(description="SHA-256")
def short_digest(row: Upload | Dataset) -> str:
    return format_html('<code title="{}">{}…</code>', row.sha256, row.sha256[:12])


@admin.display(description="Operation")
def operation(row: Dataset) -> str:
    address = reverse("admin:lro_operation_change", args=[row.operation_id])
    return format_html('<a href="{}">…{}</a>', address, str(row.operation_id)[-8:])


@admin.display(description="Columns")
def column_count(row: Dataset) -> str:
    return str(len(row.columns))


@admin.display(description="Ready", boolean=True)
def is_ready(row: Dataset) -> bool:
    return row.ready_at is not None


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ("filename", size_on_disk, short_digest, "owner", "created_at")
    search_fields = ("id", "filename", "sha256")


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ("name", "rows", column_count, size_on_disk, is_ready, operation, "owner", "created_at")
    search_fields = ("id", "name", "operation_id")
    readonly_fields = ("readers",)

    @admin.display(description="Operations that read it")
    def readers(self, row: Dataset) -> str:
        """The newest, ended or not, each a link."""
        rows = Operation.objects.tagged(datasets.tag(row.pk)).order_by("-pk")[:_SHOWN]
        links = ((reverse("admin:lro_operation_change", args=[each.pk]), each.name, each.state) for each in rows)
        return format_html_join(mark_safe("<br>"), '<a href="{}">{}</a>, {}', links) or "–"


@admin.display(description="Received")
def received(row: ResumableUpload) -> str:
    length = "?" if row.length is None else filesizeformat(row.length)
    return f"{filesizeformat(row.offset)} of {length}"


@admin.register(ResumableUpload)
class ResumableUploadAdmin(ReadOnlyAdmin):
    list_display = ("__str__", received, "owner", "created_at", "expires_at")
    search_fields = ("id", "sha256")
