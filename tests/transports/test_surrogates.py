"""Half of a surrogate pair is a text of Python's and of JSON's, but none that can be stored or sent."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from lro.exceptions import InvalidValue
from lro.models import Operation
from lro.storable import storable

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("text", ["\\ud800", "x\\udfffx", "\\uDBFFx"])
@pytest.mark.parametrize("body", ['{"to": 1, "note": "%s"}', '{"to": 1, "%s": 1}'])
def test_it_is_refused_in_the_request(alice: Any, body: str, text: str) -> None:
    client = Client(headers={"Authorization": f"Bearer {AccessToken.for_user(alice)}"})
    answer = client.post("/probe/counts", body % text, "application/json")
    assert answer.status_code == 400
    assert "half of a surrogate pair" in answer.json()["detail"]
    assert not Operation.objects.exists()


def test_it_is_refused_in_what_an_operation_returns() -> None:
    with pytest.raises(InvalidValue, match="half of a surrogate pair"):
        storable({"name": "\ud800"}, what="result", max_bytes=100)


def test_a_whole_pair_is_a_character() -> None:
    assert storable("\U0001f600", what="result", max_bytes=100) == "\U0001f600"
