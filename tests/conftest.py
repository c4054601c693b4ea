from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until


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
def checked(db: None) -> Iterator[None]:
    """After the test, every promise about the rows holds."""
    yield
    from lro.testing import assert_consistent

    assert_consistent()


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until
