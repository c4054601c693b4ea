"""Lists, a page at a time, by key: the tenth page costs what the first one does."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.utils.dateparse import parse_datetime
from rest_framework.request import Request

from ...exceptions import Problem
from ...models import Operation
from ...runtime import masking, registry
from ...states import TERMINAL, State
from .. import payloads

_PAGE = 50
_MAX_PAGE = 500
_TABS = {
    "running": Q(state__in=set(State) - TERMINAL),
    "failed": Q(state__in=[State.FAILED, State.EXPIRED]),
    "done": Q(state__in=[State.SUCCEEDED, State.CANCELLED]),
}


def operations(request: Request) -> dict[str, Any]:
    """Newest first. `next` is opaque; `counts` are those of all pages, by tab."""
    _refuse_what_cannot_be_stored(request)
    visible = Operation.objects.visible_to(request.user).filter(_filters(request))
    if tag := request.query_params.get("tag"):
        visible = visible.tagged(tag)
    if not {"parent", "root", "search"} & set(request.query_params):
        visible = visible.filter(parent=None)  # ten thousand children would hide all others
    rows = visible.select_related("owner").order_by("-pk")
    if states := _states(request):
        rows = rows.filter(state__in=states)
    if cursor := request.query_params.get("cursor"):
        rows = rows.filter(pk__lt=_uuid("cursor", cursor))
    size = _size(request, _PAGE)
    found = list(rows[: size + 1])
    following = _link(request, cursor=str(found[size - 1].pk)) if len(found) > size else None
    return {
        "results": [payloads.operation(row, request.user) for row in found[:size]],
        "next": following,
        "counts": visible.aggregate(all=Count("pk"), **{tab: Count("pk", filter=q) for tab, q in _TABS.items()}),
    }


def children(request: Request, operation: Operation) -> dict[str, Any]:
    """In the order in which they were spawned."""
    rows = Operation.objects.filter(parent_id=operation.pk).select_related("owner").order_by("child_index")
    if states := _states(request):
        rows = rows.filter(state__in=states)
    if "cursor" in request.query_params:
        rows = rows.filter(child_index__gt=_integer(request, "cursor", 0))
    size = _size(request, _PAGE)
    found = list(rows[: size + 1])
    following = _link(request, cursor=str(found[size - 1].child_index)) if len(found) > size else None
    return {"results": [payloads.operation(row, request.user) for row in found[:size]], "next": following}


def events(request: Request, operation: Operation) -> dict[str, Any]:
    after = _integer(request, "after", 0)
    size = _size(request, _MAX_PAGE)
    found = list(operation.events.filter(sequence__gt=after)[: size + 1])
    more = found[size - 1].sequence if len(found) > size else None
    # The operation was read before its events: where it was done, these are all.
    events = [payloads.event(event) for event in found[:size]]
    return {"results": events, "next_after": more, "done": operation.is_terminal}


def artifacts(request: Request, operation: Operation) -> dict[str, Any]:
    rows = operation.artifacts.order_by("pk")
    if cursor := request.query_params.get("cursor"):
        rows = rows.filter(pk__gt=_uuid("cursor", cursor))
    size = _size(request, _MAX_PAGE)
    found = list(rows[: size + 1])
    following = _link(request, cursor=str(found[size - 1].pk)) if len(found) > size else None
    return {"results": [payloads.artifact(row) for row in found[:size]], "next": following}


def rejects(request: Request, operation: Operation) -> dict[str, Any]:
    rows = operation.rejects.order_by("position")
    if "cursor" in request.query_params:
        rows = rows.filter(position__gt=_integer(request, "cursor", 0))
    size = _size(request, 100)
    found = list(rows[: size + 1])
    following = _link(request, cursor=str(found[size - 1].position)) if len(found) > size else None
    return {"results": [payloads.reject(row) for row in found[:size]], "next": following}


def _refuse_what_cannot_be_stored(request: Request) -> None:
    for name, text in request.query_params.items():
        if "\0" in text:
            raise _invalid(name, f"'{name[:40]}' contains U+0000, which nothing that is stored does.")


def _filters(request: Request) -> Q:
    given, wanted = request.query_params, Q()
    if name := given.get("name"):
        wanted &= Q(name=name)
    if module := given.get("module"):
        wanted &= Q(name__startswith=f"{module}.")
    for parameter, lookup in {"parent": "parent_id", "root": "root_id"}.items():
        if value := given.get(parameter):
            wanted &= Q(**{lookup: _uuid(parameter, value)})
    for parameter, lookup in {"created_after": "created_at__gt", "created_before": "created_at__lt"}.items():
        if value := given.get(parameter):
            wanted &= Q(**{lookup: _time(parameter, value)})
    if text := given.get("search"):
        wanted &= Q(name__icontains=text) | Q(id__icontains=text) | Q(input__icontains=text, name__in=_searchable())
    if owner := given.get("owner"):
        wanted &= Q(owner__username=owner)
    return wanted


def _searchable() -> list[str]:
    """Of the others the input is not searched: a secret could be guessed a letter at a time."""
    return [cls.name for cls in registry.all_classes() if not masking.paths(cls)]


def _states(request: Request) -> list[str]:
    states = [state for state in request.query_params.get("state", "").split(",") if state]
    if unknown := set(states) - {state.value for state in State}:
        raise _invalid("state", f"There is no state '{sorted(unknown)[0]}'; the states are {', '.join(State)}.")
    return states


def _link(request: Request, **changes: str) -> str:
    query = request.query_params.copy()
    for name, value in changes.items():
        query[name] = value
    return f"{request.path}?{query.urlencode()}"


def _size(request: Request, default: int) -> int:
    """How many rows a page has: at least one, or the next page would begin nowhere."""
    size = _integer(request, "limit", default)
    if size < 1:
        raise _invalid("limit", "'limit' is at least 1.")
    return min(size, _MAX_PAGE)


def _integer(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 18:
        raise _invalid(name, f"'{name}' is a whole number, not '{text[:40]}'.")
    return int(text)


def _uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _invalid(name, f"'{name}' is not an id.") from None


def _time(name: str, text: str) -> datetime:
    try:
        value = parse_datetime(text)
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise _invalid(name, f"'{name}' is a time as 2026-01-31T12:00:00Z.")
    return value


def _invalid(name: str, message: str) -> Problem:
    return Problem(400, "invalid", message, [{"parameter": name, "message": message}])
