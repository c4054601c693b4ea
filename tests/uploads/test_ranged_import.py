"""An import in ranges ends as one that is not: the same rows, the same rejects, whatever happens on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from lro.models import Operation
from lro.testing import Crash, run_due, strike
from tests.uploads.generator import Truth, write_dirty_csv
from tests.uploads.posting import client_of, dataset_of, imported, problem, rows_of, send
from uploads.models import Dataset

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]
WITHIN_QUOTES = b'a,b\n"' + b"1,2\n" * 4000 + b'",3\n4\n5,6\n'


@pytest.fixture
def client(alice: Any) -> Client:
    return client_of(alice)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.sources.delimited.BLOCK_BYTES", 16 * 1024)


@pytest.fixture
def dirty(tmp_path: Path) -> tuple[bytes, Truth]:
    truth = write_dirty_csv(tmp_path / "dirty.csv", 1500, bad_share=0.05, seed=11)
    return (tmp_path / "dirty.csv").read_bytes(), truth


def outcome(operation: Operation) -> dict[str, Any]:
    """All that an import leaves, but for ids, times and how the rows are cut into parts."""
    assert operation.state == "succeeded", operation.error
    changing = ("dataset", "bytes", "seconds")
    known = ("position", "offset", "column", "code", "message", "raw")
    return {
        "result": {name: value for name, value in operation.result.items() if name not in changing},
        "rows": rows_of(operation),
        "rejects": list(operation.rejects.values_list(*known)),
    }


def children(operation: Operation) -> list[Operation]:
    return list(operation.children.order_by("child_index"))


def assert_no_leftovers(operation: Operation) -> None:
    dataset = dataset_of(operation)
    assert sorted(path.name for path in dataset.folder.iterdir()) == sorted(path.name for path in dataset.paths())


def test_in_ranges_and_as_a_whole_are_the_same(client: Client, dirty: tuple[bytes, Truth]) -> None:
    content, truth = dirty
    whole = imported(client, content, parallel="1")
    parts = imported(client, content, parallel="5")
    assert len(children(parts)) == 5
    assert outcome(parts) == outcome(whole)
    assert list(parts.rejects.values_list("position", "code")) == truth.rejects
    assert parts.progress["percent"] == 100
    assert_no_leftovers(parts)


def test_a_border_that_was_guessed_within_quotes_is_read_again(client: Client) -> None:
    whole, parts = imported(client, WITHIN_QUOTES), imported(client, WITHIN_QUOTES, parallel="3")
    assert outcome(parts) == outcome(whole)
    assert len(children(parts)) == 4  # the second was swallowed by the first's record, the third read again
    assert parts.events.filter(kind="log", data__message__icontains="A border within quotes").count() == 1
    assert_no_leftovers(parts)


def test_types_and_schema_hold_in_every_range(client: Client, dirty: tuple[bytes, Truth]) -> None:
    content, _ = dirty
    fields = [{"name": "quantity", "type": "integer", "constraints": {"maximum": 9000}}]
    schema = json.dumps({"fields": fields, "fieldsMatch": "subset"})
    whole, parts = (imported(client, content, schema=schema, parallel=count) for count in ("1", "4"))
    assert whole.result["reject_codes"]["constraint_error"] > 50
    assert outcome(parts) == outcome(whole)


@pytest.mark.parametrize("border", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 5])
def test_a_child_that_is_killed_at_any_checkpoint_goes_on(
    client: Client, dirty: tuple[bytes, Truth], border: Any, nth: int
) -> None:
    def crash() -> None:
        raise Crash

    content, truth = dirty
    with strike("OperationContext.checkpoint", crash, border=border, nth=nth):
        operation = imported(client, content, parallel="3")
    assert outcome(operation)["result"]["rows"] == truth.good_rows
    assert rows_of(operation)["id"] == sorted(set(rows_of(operation)["id"]))
    assert list(operation.rejects.values_list("position", "code")) == truth.rejects
    assert_no_leftovers(operation)


@pytest.mark.parametrize(
    "step", ["Spawner.spawn", "OperationContext.gather", "OperationContext.adopt_rejects", "fan_out.copy_rejects"]
)
@pytest.mark.parametrize("nth", [2])
def test_a_parent_that_is_killed_at_any_step_goes_on(client: Client, step: str, nth: int) -> None:
    def crash() -> None:
        raise Crash

    whole = imported(client, WITHIN_QUOTES)
    with strike(step, crash, nth=nth):
        parts = imported(client, WITHIN_QUOTES, parallel="3")
    assert outcome(parts) == outcome(whole)
    assert_no_leftovers(parts)


def test_the_limit_is_of_the_whole_file(client: Client, dirty: tuple[bytes, Truth]) -> None:
    content, truth = dirty
    bad = len(truth.rejects)
    assert imported(client, content, parallel="3", max_rejects=str(bad)).state == "succeeded"
    for limit in (str(bad - 1), "3", "1%"):
        failed = imported(client, content, parallel="3", max_rejects=limit)
        assert (failed.state, failed.error["code"]) == ("failed", "too_many_rejects")
        assert truth.rejects[0][0] == failed.rejects.first().position
        assert failed.error["message"].count("Line ") == 3


def test_recording_stops_at_the_first_of_the_whole_file(client: Client, dirty: tuple[bytes, Truth]) -> None:
    content, truth = dirty
    operation = imported(client, content, parallel="3", max_rejects="50", on_limit="stop_recording")
    assert (operation.result["rejected"], operation.result["recorded"]) == (len(truth.rejects), 50)
    assert list(operation.rejects.values_list("position", "code")) == truth.rejects[:50]


def test_a_header_alone_is_a_dataset_without_rows(client: Client) -> None:
    operation = imported(client, b"a,b\n", parallel="4")
    assert (operation.state, operation.result["rows"]) == ("succeeded", 0)
    assert operation.result["columns"] == [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]


def test_cancelling_the_import_cancels_its_ranges(client: Client, dirty: tuple[bytes, Truth]) -> None:
    from lro.runtime import executor

    identifier = send(client, dirty[0], parallel="3").json()["id"]
    executor.execute(identifier)
    client.post(f"/operations/{identifier}/cancel")
    run_due()
    assert {row.state for row in Operation.objects.all()} == {"cancelled"}
    assert client.delete(f"/operations/{identifier}").status_code == 204
    assert not Dataset.objects.exists()


def test_a_range_is_nobody_elses_to_start(client: Client) -> None:
    answer = client.post("/uploads/import-range", {}, content_type="application/json")
    assert answer.status_code == 404
    assert "/uploads/import-range" not in client.get("/schema/").content.decode()


@pytest.mark.parametrize("count", ["0", "65", "many"])
def test_another_number_of_parts_is_refused(client: Client, count: str) -> None:
    assert problem(send(client, b"a\n1\n", parallel=count)) == (400, "invalid", "/parallel")


def test_by_default_only_a_large_file_is_divided(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not children(imported(client, WITHIN_QUOTES))
    monkeypatch.setattr("uploads.declarations._RANGE_BYTES", 4096)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert len(children(imported(client, b"a,b\n" + b"1,2\n" * 5000))) == 2
