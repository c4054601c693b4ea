"""How many bad rows an import may meet, and what happens beyond."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from lro.testing import run_due
from tests.uploads.posting import client_of, imported, problem, send
from uploads.reject_limits import RejectLimit

DATABASE = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]
TWO_BAD = b"a,b\n1,2\n3\n4\n5,6\n"


@pytest.fixture
def client(alice: Any) -> Client:
    return client_of(alice)


@pytest.mark.parametrize(
    ("text", "count", "share"),
    [("0", 0, None), ("100", 100, None), ("0.05", None, 0.05), (".5", None, 0.5), ("5%", None, 0.05), ("1.0", None, 1)],
)
def test_a_limit_is_a_count_or_a_share(text: str, count: int | None, share: float | None) -> None:
    assert RejectLimit.read(text, "fail") == RejectLimit(count, share)


def test_a_share_is_not_judged_by_a_few_rows() -> None:
    limit = RejectLimit(share=0.1)
    assert not limit.is_exceeded(5, 10, at_end=False)
    assert limit.is_exceeded(5, 10, at_end=True)
    assert limit.is_exceeded(1001, 10_000, at_end=False)
    assert not limit.is_exceeded(1000, 10_000, at_end=True)


class TestAnImport:
    pytestmark = DATABASE

    def test_that_meets_more_fails_and_names_the_limit_and_the_first(self, client: Client) -> None:
        operation = imported(client, TWO_BAD, max_rejects="1")
        assert (operation.state, operation.error["code"]) == ("failed", "too_many_rejects")
        assert operation.error["message"] == (
            "2 of 4 rows cannot be imported, more than 1 rows that may be. The first: "
            "Line 3: expected 2 fields, found 1. Line 4: expected 2 fields, found 1."
        )
        assert list(operation.rejects.values_list("position", flat=True)) == [3, 4]

    def test_that_meets_as_many_as_may_be_succeeds(self, client: Client) -> None:
        assert imported(client, TWO_BAD, max_rejects="2").state == "succeeded"
        assert imported(client, TWO_BAD, max_rejects="50%").state == "succeeded"
        assert imported(client, TWO_BAD, max_rejects="0.49").error["code"] == "too_many_rejects"

    def test_fails_again_where_it_is_retried(self, client: Client) -> None:
        operation = imported(client, TWO_BAD, max_rejects="0")
        client.post(f"/operations/{operation.pk}/retry")
        run_due()
        operation.refresh_from_db()
        assert (operation.state, operation.error["code"]) == ("failed", "too_many_rejects")

    def test_that_stops_recording_counts_on(self, client: Client) -> None:
        operation = imported(client, TWO_BAD, max_rejects="1", on_limit="stop_recording")
        assert operation.state == "succeeded"
        result = operation.result
        assert (result["rejected"], result["recorded"], result["reject_codes"]) == (2, 1, {"ragged_short": 2})
        assert list(operation.rejects.values_list("position", flat=True)) == [3]


class TestARequest:
    pytestmark = DATABASE

    @pytest.mark.parametrize("text", ["many", "-1", "2.5", "101%", "1e3"])
    def test_with_a_limit_that_is_none_is_refused(self, client: Client, text: str) -> None:
        answer = send(client, TWO_BAD, max_rejects=text)
        assert problem(answer) == (422, "invalid", "/max_rejects")
        assert "neither a count such as 100 nor a share" in answer.json()["detail"]

    def test_that_says_what_happens_at_no_limit_is_refused(self, client: Client) -> None:
        assert problem(send(client, TWO_BAD, on_limit="fail")) == (422, "invalid", "/on_limit")

    def test_to_stop_recording_at_a_share_is_refused(self, client: Client) -> None:
        answer = send(client, TWO_BAD, max_rejects="5%", on_limit="stop_recording")
        assert problem(answer) == (422, "invalid", "/on_limit")

    def test_with_another_way_is_refused(self, client: Client) -> None:
        answer = send(client, TWO_BAD, max_rejects="5", on_limit="ask")
        assert problem(answer) == (400, "invalid", "/on_limit")
