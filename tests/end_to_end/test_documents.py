"""The documents tell the truth of the real socket, and are shown in a real browser under the policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from lro.testing import assert_documented
from tests import chromium
from tests.end_to_end.stack import Stack

pytestmark = pytest.mark.slow


class Line:
    """A socket on which every frame, sent or received, is held to the document."""

    def __init__(self, link: Any) -> None:
        self._link = link
        self.heard: list[dict[str, Any]] = []

    def say(self, kind: str, **fields: Any) -> None:
        frame = {"type": kind, **fields}
        assert_documented(frame, "from_client")
        self._link.send(json.dumps(frame))

    def blurt(self, text: str) -> None:
        self._link.send(text)

    def hear(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next frame of this kind with these fields; what comes before it is checked, too."""
        while True:
            frame = json.loads(self._link.recv(timeout=60))
            assert_documented(frame, "from_server")
            self.heard.append(frame)
            if frame["type"] == kind and fields.items() <= frame.items():
                return dict(frame)

    def hear_of(self, kind: str) -> None:
        """Hear events until one of this kind."""
        while self.hear("event")["event"]["kind"] != kind:
            pass


@pytest.fixture
def line(drained: Stack) -> Iterator[Line]:
    address = f"ws://127.0.0.1:{drained.port}/ws/operations/"
    with connect(address, subprotocols=["lro.v1"], proxy=None) as link:  # type: ignore[list-item]
        yield Line(link)


def test_every_frame_of_the_socket_is_as_documented(drained: Stack, line: Line) -> None:
    with drained.client() as client:
        slow = str(client.post("/probe/counts", json={"to": 100_000, "seconds_each": 0.01}).json()["id"])
        line.say("subscribe", mine=True)
        line.hear("refused", code="not_authenticated")
        line.say("authenticate", token=drained.token())
        assert line.hear("ready")["user"] == "demo"
        for target in ({"mine": True}, {"root": slow}, {"operation": slow}):
            line.say("subscribe", **target)
            line.hear("caught_up", **target)
            line.say("unsubscribe", **target)
            line.hear("unsubscribed", **target)
        line.say("subscribe", operation=slow, after=0)
        line.hear_of("started")
        line.say("ping", sequences={slow: 1})
        line.hear("pong")
        for verb in ("pause", "resume", "cancel", "retry", "cancel"):
            line.say(verb, operation=slow, request_id=verb)
            state = line.hear("acknowledged", request_id=verb)["operation"]["state"]
            if state in ("pausing", "cancelling"):
                line.hear_of("paused" if verb == "pause" else "cancelled")
        line.say("pause", operation=slow, request_id=7)
        line.hear("refused", code="not_allowed_now", request_id=7)
    assert {frame["type"] for frame in line.heard} >= {"snapshot", "caught_up", "event", "unsubscribed", "pong"}


def test_what_is_refused_is_refused_as_documented(drained: Stack, line: Line) -> None:
    unknown = "0198f3c2-0000-7000-8000-000000000000"
    line.say("authenticate", token=drained.token("other"))
    line.hear("ready")
    for frame in ("{", "[]", '{"type": "dance", "request_id": 1}', '{"type": "subscribe", "mine": true, "all": true}'):
        line.blurt(frame)
        line.hear("refused")
    for target in ({"operation": unknown}, {"root": unknown}, {"all": True}):
        line.say("subscribe", **target, request_id="a")
        line.hear("refused", code="not_found", request_id="a")
    line.say("cancel", operation=unknown, request_id="b")
    line.hear("refused", code="not_found", request_id="b")
    line.say("authenticate", token=drained.token("demo"))
    line.hear("refused", code="other_user")
    with pytest.raises(ConnectionClosed) as ended:
        line.hear("pong")
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 4401


def test_staff_may_follow_all_as_documented(drained: Stack, line: Line) -> None:
    line.say("authenticate", token=drained.token("admin"))
    line.hear("ready")
    line.say("subscribe", all=True)
    line.hear("caught_up", all=True)
    with drained.client() as client:
        quick = str(client.post("/probe/splits", json={"child": "probe.saves", "inputs": [{"to": 2}]}).json()["id"])
    line.say("subscribe", root=quick)
    line.hear("caught_up", root=quick)
    drained.await_end(quick)
    line.say("ping", sequences={quick: 0})
    line.hear_of("succeeded")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page that may speak to our server alone; whatever it says to its console as an error fails the test."""
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if _is_own(request.url, stack) else problems.append(request.url))
    yield page
    context.close()
    assert problems == []


def _is_own(url: str, stack: Stack) -> bool:
    return url.startswith((stack.url, "data:", "blob:"))


def test_swagger_shows_the_calls(page: Page) -> None:
    page.goto("/docs/")
    expect(page.locator(".info .title")).to_contain_text("Long-running operations")
    call = page.locator("#operations-uploads-start_uploads_import")
    call.locator(".opblock-summary-control").click()
    expect(call.locator(".opblock-section-request-body select")).to_have_value("multipart/form-data")
    expect(call.locator(".responses-inner")).to_contain_text("503")


def test_the_viewer_shows_the_frames(page: Page) -> None:
    page.goto("/docs/realtime/")
    expect(page.get_by_role("heading", name="Long-running operations, live").first).to_be_visible()
    for name in ("subscribe", "acknowledged", "gap"):
        expect(page.get_by_text(name, exact=True).first).to_be_attached()
