from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app

from tests.waiting import until


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow files first: the others then fill up what time the processes of pytest have left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def alice(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("alice", password="alice-password")


@pytest.fixture
def bob(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("bob", password="bob-password")


@pytest.fixture
def files(settings: Any, tmp_path: Path) -> Path:
    """Where stored files are during the test."""
    settings.MEDIA_ROOT = tmp_path / "files"
    return tmp_path / "files"


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """Where the operations that keep one write their words."""
    return tmp_path / "diary"


@pytest.fixture
def queue() -> str:
    """The name of a queue of the broker that is empty now, whatever other tests sent to it."""
    with current_app.connection_for_write() as broker:
        channel: Any = broker.default_channel
        channel.queue_declare("default", durable=True, auto_delete=False)
        channel.queue_purge("default")
    return "default"


@pytest.fixture
def checked(db: None) -> Iterator[None]:
    """After the test, every promise about the rows holds."""
    yield
    from lro.testing import assert_consistent

    assert_consistent()


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until
