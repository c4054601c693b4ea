"""The page sends a large file so that it survives a lost network and a reload, and can be paused and cancelled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.end_to_end.cut_uploads import stored_digest, write_csv
from tests.end_to_end.cutting_proxy import CuttingProxy
from tests.end_to_end.stack import ALIAS, PASSWORD, Stack
from tests.waiting import until
from uploads.models import ResumableUpload

pytestmark = pytest.mark.slow

MEGABYTES = 12


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    return path, write_csv(path, MEGABYTES)


@pytest.fixture
def network(drained: Stack, request: pytest.FixtureRequest) -> Iterator[CuttingProxy]:
    """It cuts where the test says, and else stalls after a third of the file."""
    cuts = [int(part * MEGABYTES * 1_000_000) for part in getattr(request, "param", ())]
    with CuttingProxy(drained.port, cuts, None if cuts else MEGABYTES * 1_000_000 // 3) as proxy:
        yield proxy


@pytest.fixture
def page(browser: Browser, network: CuttingProxy) -> Iterator[Page]:
    context = browser.new_context(base_url=network.url)
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/app/upload")
    page.locator("input[name=username]").fill("demo")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_test_id("login-submit").click()
    yield page
    context.close()


def send(page: Page, path: Path) -> Locator:
    """Choose the file; the row that shows it."""
    ResumableUpload.objects.using(ALIAS).all().delete()
    page.get_by_test_id("file-input").set_input_files(path)
    return page.get_by_test_id("upload-row")


def send_a_part(page: Page, path: Path) -> Locator:
    """The row, once what passes the network is counted."""
    row = send(page, path)
    until(lambda: ResumableUpload.objects.using(ALIAS).filter(offset__gt=0).exists(), what="some bytes are counted")
    return row


def assert_arrives(stack: Stack, row: Locator, digest: str) -> None:
    row.get_by_test_id("open-operation").wait_for(timeout=60_000)
    identifier = str(row.get_attribute("data-operation-id"))
    assert stored_digest(stack, identifier) == digest
    assert stack.await_end(identifier).state == "succeeded"


@pytest.mark.parametrize("network", [(0.3, 0.6, 0.8)], indirect=True)
def test_after_a_lost_network_it_goes_on_by_itself(
    drained: Stack, page: Page, network: CuttingProxy, table: tuple[Path, str]
) -> None:
    assert_arrives(drained, send(page, table[0]), table[1])
    assert network.done == 3


def test_it_pauses_and_goes_on_from_there(drained: Stack, page: Page, table: tuple[Path, str]) -> None:
    row = send_a_part(page, table[0])
    offsets: list[int] = []
    page.on("request", lambda one: offsets.append(int(one.headers["upload-offset"])) if one.method == "PATCH" else None)
    row.get_by_test_id("pause-upload").click()
    expect(row).to_have_attribute("data-phase", "paused")
    expect(row).to_contain_text("Paused")
    assert offsets == []
    row.get_by_test_id("resume-upload").click()
    assert_arrives(drained, row, table[1])
    assert offsets
    assert offsets[0] > 0


def test_after_a_reload_it_goes_on_once_the_same_file_is_chosen(
    drained: Stack, page: Page, table: tuple[Path, str]
) -> None:
    send_a_part(page, table[0])
    page.reload()
    row = page.get_by_test_id("upload-row")
    expect(row).to_have_attribute("data-phase", "unfinished")
    expect(row).to_contain_text(re.compile(r"[1-9][\d.]* [MkK]B of 12 MB"))
    expect(row).to_contain_text("Choose table.csv again, and it goes on where it stopped.")
    with page.expect_request(lambda one: one.method == "PATCH") as sent, page.expect_file_chooser() as chooser:
        row.get_by_test_id("choose-again").click()
        chooser.value.set_files(table[0])
    assert int(sent.value.headers["upload-offset"]) > 0
    assert_arrives(drained, row, table[1])


def test_a_cancelled_upload_is_gone_from_the_server(drained: Stack, page: Page, table: tuple[Path, str]) -> None:
    row = send_a_part(page, table[0])
    row.get_by_test_id("cancel-upload").click()
    expect(row).to_have_count(0)
    until(lambda: not ResumableUpload.objects.using(ALIAS).exists(), what="the server forgot it")
    page.reload()
    expect(page.get_by_test_id("choose-files")).to_be_visible()
    expect(row).to_have_count(0)
