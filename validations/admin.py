"""Rule sets with their versions, and what came of their runs, to look at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from .models import RuleSet, RuleSetVersion, Run

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
    Inline = admin.TabularInline[Any, Any]
else:
    Base = admin.ModelAdmin
    Inline = admin.TabularInline


class ReadOnly:
    """Rules change by their own addresses, where they are checked."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.display(description="Rules")
def rules_as_text(row: RuleSetVersion) -> str:
    return format_html("<pre>{}</pre>", json.dumps(row.rules, indent=1, ensure_ascii=False)[:20_000])


class VersionInline(ReadOnly, Inline):
    model = RuleSetVersion
    extra = 0
    max_num = 20
    fields = ("version", "author", "created_at", rules_as_text)  # type: ignore[assignment]
    readonly_fields = fields  # type: ignore[assignment]


class RunInline(ReadOnly, Inline):
    model = Run
    extra = 0
    fields = readonly_fields = ("dataset_name", "version", "verdict", "operation_id", "created_at")
    ordering = ("-operation_id",)


@admin.register(RuleSet)
class RuleSetAdmin(ReadOnly, Base):
    list_display = ("name", "version", "owner", "updated_at")
    list_select_related = ("owner",)
    search_fields = ("id", "name")
    show_full_result_count = False
    inlines = (VersionInline, RunInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        visible: QuerySet[Any] = RuleSet.objects.visible_to(request.user).order_by("-updated_at")
        return visible
