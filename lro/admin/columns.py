"""The cells of the change list: right as the server sends them, and kept live by `lro/admin.js`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..models import Operation
from ..runtime import registry
from ..states import HELD
from ..transports import wording


@admin.display(description="Operation")
def name(operation: Operation) -> str:
    # The end of an id: the beginning of a UUIDv7 is its time.
    return format_html('{} <span class="quiet nowrap">…{}</span>', operation.name, str(operation.pk)[-8:])


@admin.display(description="State")
def state(operation: Operation) -> SafeString:
    return format_html(
        '<span data-lro-state="{}" data-operation-id="{}">{}</span>',
        operation.state,
        operation.pk,
        operation.state.capitalize(),
    )


@admin.display(description="Progress")
def progress(operation: Operation) -> SafeString:
    value = wording.percent_of(operation)
    known = "" if value is None else format_html(' value="{}"', f"{value:.2f}")
    # Without a value a bar moves to and fro, which is right only while somebody works.
    drawn = known if known or operation.state in HELD else SafeString(' value="0"')
    return format_html(
        '<lro-progress operation-id="{}" data-state="{}" max="100"{} label="Progress of {}">'
        '<progress max="100"{} aria-label="Progress of {}"></progress> <span>{}</span></lro-progress>',
        operation.pk,
        operation.state,
        known,
        operation.name,
        drawn,
        operation.name,
        wording.percent(value),
    )


@admin.display(description="Elapsed")
def elapsed(operation: Operation) -> str:
    return format_html('<span class="nowrap">{}</span>', wording.duration(operation.started_at, operation.finished_at))


@admin.display(description="Owner")
def owner(operation: Operation) -> str:
    return operation.owner.get_username() if operation.owner else wording.NONE


@admin.display(description="Created")
def created(operation: Operation) -> str:
    at = timezone.localtime(operation.created_at)
    return format_html('<span class="nowrap">{}</span> {}', f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}")


class NameFilter(admin.SimpleListFilter):
    """The registered names, without reading the whole table for the distinct ones."""

    title = "operation"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(cls.name, cls.name) for cls in registry.all_classes()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(name=chosen) if chosen else queryset
