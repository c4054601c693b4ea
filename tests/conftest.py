from __future__ import annotations

from collections.abc import Callable, Iterator
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
def checked(db: None) -> Iterator[None]:
    """After the test, every promise about the rows holds."""
    yield
    from lro.testing import assert_consistent

    assert_consistent()


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until
