"""Who may do what to an operation, once rights have changed since it was started."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.http import Http404

from lro.models import Operation
from lro.runtime import control, executor, registry, submission
from lro.transports import access

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]
VERBS = {"resume": "pause", "retry": "cancel"}


def grant(user: Any, *names: str) -> Any:
    """The user as the next request knows them, with these rights and no others."""
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return type(user).objects.get(pk=user.pk)


@pytest.fixture
def stopped(alice: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an operation of Alice, who may start it, and does this to it."""
    monkeypatch.setattr(registry.find("probe.splits"), "permission", "lro.start_operation")

    def make(verb: str) -> Operation:
        data = {"child": "probe.counts", "inputs": [{"to": 1}]}
        operation = submission.submit("probe.splits", data, grant(alice, "start_operation")).operation
        executor.execute(operation.pk)
        control.act(verb, operation.pk, "alice")
        return operation

    return make


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_not_start_it_any_more_does_not_have_it_go_on(alice: Any, stopped: Any, verb: str) -> None:
    operation = stopped(VERBS[verb])
    demoted = grant(alice)
    for one in (operation, operation.children.get()):
        with pytest.raises(Http404):
            access.act(demoted, verb, one.pk)
    assert access.visible_operation(demoted, operation.pk).state == {"resume": "paused", "retry": "cancelled"}[verb]
    assert (
        access.act(grant(alice, "start_operation"), verb, operation.pk).state
        == {
            "resume": "waiting",
            "retry": "queued",
        }[verb]
    )
    assert access.act(demoted, "cancel", operation.pk).state == "cancelled", "to stop it needs no such right"


@pytest.mark.parametrize(("verb", "right"), [("resume", "pause_operation"), ("retry", "retry_operation")])
def test_who_may_do_it_to_everybodys_needs_no_right_to_start_it(bob: Any, stopped: Any, verb: str, right: str) -> None:
    operation = stopped(VERBS[verb])
    assert access.act(grant(bob, "view_all_operations", right), verb, operation.pk).state in ("waiting", "queued")


def test_what_needs_no_right_to_be_started_needs_none_to_go_on(alice: Any) -> None:
    operation = submission.submit("probe.counts", {"to": 1}, alice).operation
    control.act("pause", operation.pk, "alice")
    assert access.act(alice, "resume", operation.pk).state == "queued"
