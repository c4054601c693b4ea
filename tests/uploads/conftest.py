from __future__ import annotations

from typing import Any

import pytest

from tests.uploads.sending import Sender


@pytest.fixture
def sender(alice: Any, files: Any, checked: None) -> Sender:
    """Alice sends files."""
    return Sender(alice)
