"""The history of data migrations, to look at: it changes only by operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from lro import Operation

from .models import Run

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Run]
else:
    Base = admin.ModelAdmin


@admin.display(description="Operation")
def operation(run: Any) -> str:
    """A link, as long as there is one."""
    if run.state_now is None:
        return "deleted"
    address = reverse("admin:lro_operation_change", args=[run.pk])
    return format_html('<a href="{}">…{}</a>', address, str(run.pk)[-8:])


@admin.display(description="State")
def state(run: Any) -> str:
    return str(run.state_now or run.state)


@admin.register(Run)
class RunAdmin(Base):
    list_display = ("migration", "kind", state, operation, "owner", "started_at", "finished_at")
    list_filter = ("kind",)
    list_select_related = ("owner",)
    list_per_page = 50
    search_fields = ("migration", "operation_id")
    ordering = ("-operation_id",)
    sortable_by = ()
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        now = Operation.objects.filter(pk=OuterRef("pk")).values("state")[:1]
        return super().get_queryset(request).annotate(state_now=Subquery(now))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
