"""Administrators see the history, and change nothing of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from lro.runtime import pruner
from tests.migrations_app.runs import run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


def test_the_history_is_there_also_when_an_operation_is_gone(admin_client: Client, clerk: Any, things: Any) -> None:
    things(3)
    first, second = run(clerk, "probe.count"), run(clerk, "probe.mark")
    pruner.delete(first)
    page = admin_client.get("/admin/migrations_app/run/").content.decode()
    assert "probe.count" in page
    assert f"/admin/lro/operation/{second.pk}/change/" in page
    assert page.count("succeeded") == 2
    assert ">deleted<" in page
    assert admin_client.get("/admin/migrations_app/run/add/").status_code == 403
    assert admin_client.post(f"/admin/migrations_app/run/{second.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"/admin/lro/operation/{second.pk}/change/").status_code == 200
