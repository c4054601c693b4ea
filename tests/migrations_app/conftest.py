from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from tests.probe import data_migrations
from tests.probe.models import Thing


@pytest.fixture
def clerk(alice: Any) -> Any:
    """Alice, who may run data migrations."""
    alice.user_permissions.add(Permission.objects.get(codename="run_migration"))
    return type(alice).objects.get(pk=alice.pk)


@pytest.fixture
def client(clerk: Any) -> Client:
    return Client(headers={"Authorization": f"Bearer {AccessToken.for_user(clerk)}"})


@pytest.fixture
def hurting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any, Any], object]], None]:
    """What is done to a step of the probe before each of its records."""
    return lambda hurt: monkeypatch.setattr(data_migrations.Hurt, "hurt", staticmethod(hurt))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_migrations.Hurt, "batch_records", 5)


@pytest.fixture
def things(db: None) -> Callable[[int], list[int]]:
    def make(count: int) -> list[int]:
        Thing.objects.bulk_create(Thing() for _ in range(count))
        return list(Thing.objects.order_by("pk").values_list("pk", flat=True))

    return make
