"""Cancel, pause, resume and retry from the admin: one operation by a button, many by an action that asks first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from ..exceptions import NotAllowedNow
from ..models import Operation
from ..runtime.control import VERBS
from ..transports import access

_HISTORY = {
    "cancel": "Asked to cancel it.",
    "pause": "Asked to pause it.",
    "resume": "Resumed it.",
    "retry": "Tried it again.",
}
_SHOWN = 20


def obstacle(user: Any, verb: str, state: str, owner_id: Any) -> str:
    """Why `user` cannot do `verb` to an operation in `state`; empty where nothing stands against it."""
    if state not in VERBS[verb]:
        return state
    if not access.may(user, verb, owner_id):
        return "not yours"
    return ""


def verbs_for(user: Any, operation: Operation) -> list[str]:
    return [verb for verb in VERBS if not obstacle(user, verb, operation.state, operation.owner_id)]


def act(modeladmin: Any, request: HttpRequest, verb: str, operation_id: Any, **options: Any) -> Operation:
    """Do it as REST does, and put it into the history. Raises `Http404` and `NotAllowedNow`."""
    operation = access.act(request.user, verb, operation_id, **options)
    start = " From the start." if options.get("source") == "start" else ""
    modeladmin.log_change(request, operation, _HISTORY[verb] + start)
    return operation


def actions() -> list[Callable[..., Any]]:
    return [_action(verb) for verb in VERBS]


def _action(verb: str) -> Callable[..., Any]:
    def run(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Operation]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return _ask(modeladmin, request, verb, queryset)
        _carry_out(modeladmin, request, verb, queryset)
        return None

    run.__name__ = f"{verb}_operations"
    run.short_description = f"{verb.capitalize()} selected operations"  # type: ignore[attr-defined]
    return run


def _ask(modeladmin: Any, request: HttpRequest, verb: str, queryset: QuerySet[Operation]) -> HttpResponse:
    able, skipped = _sorted_out(request.user, verb, queryset)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": f"{verb.capitalize()} {len(able)} {_noun(len(able))}?",
        "opts": modeladmin.opts,
        "media": modeladmin.media,
        "verb": verb,
        "count": len(able),
        "noun": _noun(len(able)),
        "operations": Operation.objects.filter(pk__in=able[:_SHOWN]),
        "more": max(0, len(able) - _SHOWN),
        "skipped": _reasons(skipped),
        "skipped_count": skipped.total(),
        "action": f"{verb}_operations",
        "select_across": request.POST.get("select_across", "0"),
        "selected": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
        "checkbox": helpers.ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/lro/operation/confirm_action.html", context)


def _carry_out(modeladmin: Any, request: HttpRequest, verb: str, queryset: QuerySet[Operation]) -> None:
    able, skipped = _sorted_out(request.user, verb, queryset)
    done = 0
    for operation_id in able:
        try:
            act(modeladmin, request, verb, operation_id)
            done += 1
        except (NotAllowedNow, Http404):
            skipped["changed in the meantime"] += 1
    level = messages.SUCCESS if done else messages.WARNING
    modeladmin.message_user(request, f"{verb.capitalize()}: done for {done} {_noun(done)}.", level)
    if skipped:
        text = f"Skipped {skipped.total()}: {'; '.join(_reasons(skipped))}."
        modeladmin.message_user(request, text, messages.WARNING)


def _sorted_out(user: Any, verb: str, queryset: QuerySet[Operation]) -> tuple[list[Any], Counter[str]]:
    """The ids that `verb` can be done to, and how many others stay out for each reason."""
    able: list[Any] = []
    skipped: Counter[str] = Counter()
    for pk, state, owner_id in queryset.order_by("-pk").values_list("pk", "state", "owner_id"):
        reason = obstacle(user, verb, state, owner_id)
        if reason:
            skipped[reason] += 1
        else:
            able.append(pk)
    return able, skipped


def _reasons(skipped: Counter[str]) -> list[str]:
    """As "2 succeeded", "1 not yours"."""
    return [f"{count} {reason}" for reason, count in skipped.most_common()]


def _noun(count: int) -> str:
    return "operation" if count == 1 else "operations"
