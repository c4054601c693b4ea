"""Every error is one object, whatever status it has."""

from __future__ import annotations

import json

import pytest
from django.test import RequestFactory

from lro import Problem
from lro.transports.rest.errors import as_response


@pytest.mark.parametrize(("status", "title"), [(409, "Conflict"), (460, "Checksum mismatch")])
def test_a_status_that_http_does_not_know_is_titled_by_its_code(status: int, title: str) -> None:
    problem = Problem(status, "checksum_mismatch", "The bytes are others.")
    body = json.loads(as_response(problem, RequestFactory().get("/there")).content)
    assert (body["status"], body["title"], body["code"]) == (status, title, "checksum_mismatch")
