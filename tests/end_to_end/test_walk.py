"""The straight walk: a person uploads a file in a real browser and watches it being imported, live."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from lro.testing import assert_consistent
from tests.end_to_end.cuts import CUTS
from tests.end_to_end.stack import ALIAS, PASSWORD, ROOT, Stack, running
from tests.end_to_end.test_kills import assert_imported_exactly
from tests.end_to_end.test_stopping import start
from tests.uploads.generator import Truth

pytestmark = pytest.mark.slow

#: Beyond any test's patience: what is started was woken, and what is seen live came by a hint; nothing is healed.
UNHEALED = json.dumps({"FLOOR_POLL_SECONDS": 3600, "REWAKE_SECONDS": 3600, "RECONCILE_SECONDS": 3600})


@pytest.fixture(scope="module")
def walked(django_db_blocker: Any) -> Iterator[Stack]:
    with (
        django_db_blocker.unblock(),
        running(LRO_TEST_SETTINGS=UNHEALED) as stack,
    ):
        yield stack


@pytest.fixture
def page(browser: Browser, walked: Stack) -> Iterator[Page]:
    """A page that is logged in; whatever it says to its console as an error fails the test."""
    context = browser.new_context(base_url=walked.url)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto("/app/")
    page.locator("input[name=username]").fill("demo")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_test_id("login-submit").click()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    yield page
    context.close()
    assert problems == []


def number(page: Page, test_id: str) -> int:
    return int(page.get_by_test_id(test_id).get_attribute("data-value") or 0)


def test_a_file_is_uploaded_and_imported_before_ones_eyes(
    walked: Stack, page: Page, large_file: tuple[Path, Truth]
) -> None:
    path, truth = large_file
    page.goto("/app/upload")
    with walked.gate.holding_at(1):
        page.get_by_test_id("file-input").set_input_files(path)
        page.get_by_test_id("open-operation").click(timeout=60_000)
        page.wait_for_url(re.compile(r"/app/operations/[0-9a-f-]{36}"))
        identifier = page.url.split("?")[0].rsplit("/", 1)[1]

        seen = [live_count(page, above=0)]
        assert walked.operation(identifier).worker, "a worker holds it while we look"
        reads: list[str] = []
        page.on("request", lambda request: reads.append(request.url))
        for percent in (20, 40, 60):
            walked.gate.hold_at(percent)
            seen.append(live_count(page, above=seen[-1]))
        assert reads == [], "what is seen live came by the socket, and was not read again"
        page.reload()
        walked.gate.hold_at(80)
        seen.append(live_count(page, above=seen[-1]))
        assert seen == sorted(set(seen))
        expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")

    expect(page.get_by_test_id("operation-state")).to_have_attribute("data-state", "succeeded", timeout=120_000)
    expect(page.get_by_test_id("operation-progress")).to_have_attribute("value", "100")
    assert number(page, "summary-rows") == truth.good_rows
    assert number(page, "summary-rejected") == number(page, "operation-rejected") == len(truth.rejects)
    assert_imported_exactly(walked, identifier, truth)
    assert_consistent(ALIAS, is_drained=True)
    shows_its_log_and_its_rejects(walked, page, identifier, truth)


def live_count(page: Page, *, above: int) -> int:
    """The next number of rows that the page shows by itself."""
    page.wait_for_function(
        "least => Number(document.querySelector('[data-testid=operation-current]')?.dataset.value ?? 0) > least",
        arg=above,
        timeout=30_000,
    )
    return number(page, "operation-current")


def shows_its_log_and_its_rejects(stack: Stack, page: Page, identifier: str, truth: Truth) -> None:
    page.get_by_test_id("tab-log").click()
    expect(page.get_by_test_id("event-row").last).to_have_attribute(
        "data-sequence", str(stack.operation(identifier).last_sequence)
    )
    page.get_by_test_id("tab-rejects").click()
    line, _ = min(truth.rejects)
    expect(page.get_by_test_id("reject-row").first).to_contain_text(str(line).replace(",", ""))
    with page.expect_download() as download:
        page.get_by_test_id("rejects-download").click()
    assert len(Path(download.value.path()).read_text().splitlines()) >= len(truth.rejects) + 1


def test_an_import_is_cancelled_from_the_page(walked: Stack, page: Page, large_file: tuple[Path, Truth]) -> None:
    with walked.gate.holding_at(1):
        with walked.client() as client:
            identifier = walked.upload(client, large_file[0])["id"]
        page.goto(f"/app/operations/{identifier}")
        live_count(page, above=0)
        page.get_by_test_id("action-cancel").click()
        page.get_by_test_id("confirm-yes").click()
        expect(page.get_by_test_id("operation-state")).to_have_attribute("data-state", "cancelled")
    assert walked.operation(identifier).state == "cancelled"


def test_the_list_shows_what_is_started_elsewhere(walked: Stack, page: Page) -> None:
    page.goto("/app/")
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    with walked.client() as client:
        identifier = client.post("/probe/counts", json={"to": 20, "seconds_each": 0.1}).json()["id"]
    row = page.locator(f"[data-testid=operation-row][data-operation-id='{identifier}']")
    newer = page.locator("[data-testid=show-new]:not([hidden])")
    expect(row.or_(newer).first).to_be_visible()
    if newer.is_visible():
        newer.click()
    expect(row).to_have_attribute("data-state", "succeeded")


def test_what_a_killed_process_held_goes_on_at_once_and_not_only_when_a_reconciler_comes(walked: Stack) -> None:
    with walked.gate.holding_at(10):
        identifier = start(walked, "probe.saves", to=60)
        walked.await_progress(identifier, 10)
        walked.kill_child(identifier)
    ended = walked.await_end(identifier)
    assert (ended.state, ended.attempt) == ("succeeded", 2)


def test_a_parent_goes_on_after_its_last_child_and_not_only_when_a_reconciler_comes(walked: Stack) -> None:
    inputs = [{"to": 5, "seconds_each": 0.02}] * 40
    parent = walked.await_end(start(walked, "probe.splits", child="probe.counts", inputs=inputs))
    assert parent.result["counted"] == 200


def test_a_file_that_is_no_table_is_refused_in_words(walked: Stack, browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "photo.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    page = browser.new_page(base_url=walked.url)  # the browser itself reports a 415 to its console
    page.goto("/app/upload")
    page.locator("input[name=username]").fill("demo")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_test_id("login-submit").click()
    page.get_by_test_id("file-input").set_input_files(path)
    expect(page.get_by_test_id("upload-row")).to_contain_text("The file looks like a PNG image, not a table.")
    page.close()


def test_each_cut_through_a_layer_still_finds_its_place() -> None:
    """`make cuts` takes minutes; this keeps its list true."""
    for cut in CUTS:
        assert cut.whole in cut.source(ROOT)
