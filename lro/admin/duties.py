from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from ..models import Duty

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Duty]
else:
    Base = admin.ModelAdmin


@admin.register(Duty)
class DutyAdmin(Base):
    """What the reconcilers have put right so far; only to be looked at."""

    list_display = ("name", "done", "seconds", "last_done_at")
    list_display_links = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
