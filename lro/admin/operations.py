from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.views.decorators.http import require_POST

from ..exceptions import NotAllowedNow
from ..models import Operation
from ..runtime import pruner
from ..runtime.control import VERBS
from ..transports import access
from . import acts, columns, detail

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Operation]
    BasePaginator = Paginator[Operation]
else:
    Base, BasePaginator = admin.ModelAdmin, Paginator


class BoundedPaginator(BasePaginator):
    """Counts no further than anybody leafs: a million rows cost what ten thousand do."""

    most = 10_000

    @cached_property
    def count(self) -> int:
        return cast("QuerySet[Operation]", self.object_list)[: self.most].count()


class OperationChangeList(ChangeList):
    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        return super().get_queryset(request, exclude_parameters).defer("input", "result", "error", "checkpoint", "tags")


@admin.register(Operation)
class OperationAdmin(Base):
    """Everything is read-only: an operation changes by what is asked of it, never by its fields."""

    list_display = (columns.name, columns.state, columns.progress, columns.elapsed, columns.owner, columns.created)
    list_filter = ("state", columns.NameFilter)
    list_select_related = ("owner",)
    list_per_page = 50
    search_fields = ("id", "name")
    search_help_text = "Search by id, or a part of it, or by name"
    ordering = ("-id",)
    sortable_by = ()
    show_full_result_count = False
    paginator = BoundedPaginator
    fields = ("name",)
    actions = acts.actions()

    class Media:
        css = {"all": ["lro/lro.css"]}
        js = [Script("lro/admin.js", type="module")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        visible: QuerySet[Operation] = Operation.objects.visible_to(request.user).order_by("-pk")
        return visible

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OperationChangeList

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Django lets any own column be filtered by, and a secret input could be guessed a letter at a time."""
        return not lookup.startswith("input") and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        return (obj is None or not pruner.obstacle(obj)) and super().has_delete_permission(request, obj)

    # One operation

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.act_view))
        own = [path(f"<uuid:object_id>/{verb}/", view, {"verb": verb}, name=f"lro_operation_{verb}") for verb in VERBS]
        return own + super().get_urls()

    def act_view(self, request: HttpRequest, object_id: UUID, verb: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        options = {"source": "start"} if verb == "retry" and request.POST.get("from") == "start" else {}
        try:
            operation = acts.act(self, request, verb, object_id, **options)
            self.message_user(request, f"{verb.capitalize()}: done. The operation is {operation.state}.")
        except NotAllowedNow as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
        return HttpResponseRedirect(reverse("admin:lro_operation_change", args=[object_id]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        operation = self.get_object(request, object_id)
        shown = {} if operation is None else detail.context(operation, request.user)
        title = {} if operation is None else {"title": operation.name, "subtitle": None}
        return super().change_view(request, object_id, form_url, {**shown, **title, **(extra_context or {})})

    # Deletion, with the files

    def delete_model(self, request: HttpRequest, obj: Operation) -> None:
        access.delete(request.user, obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        for operation in queryset.iterator(chunk_size=100):
            if not pruner.obstacle(operation):
                self.delete_model(request, operation)

    def get_deleted_objects(
        self, objs: Iterable[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """What goes with them in one line each: Django's own would list every event."""
        operations = list(objs)
        reasons = [(operation, pruner.obstacle(operation)) for operation in operations]
        obstacles = [f"{operation} is {operation.state}: {reason}" for operation, reason in reasons if reason]
        lines = [f"{operation}, its events, rejects and files" for operation in operations]
        lacking = set() if self.has_delete_permission(request) else {"operation"}
        return lines, {"operations": len(operations)}, lacking, obstacles
