"""What a page of one's own relies on: the public client, and the protocol without any client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.end_to_end.stack import PASSWORD, ROOT, Stack
from tests.waiting import until

pytestmark = pytest.mark.slow

#: A page's own script: everything that it is told goes into `seen`.
FOLLOW = """async ({ id, password }) => {
  const { LroClient, memoryTokens } = await import("/static/lro/client.js");
  const client = new LroClient({ tokens: memoryTokens() });
  await client.login("demo", password);
  window.seen = { events: [], states: [], connections: [], gone: [] };
  client.watchConnection(({ state }) => seen.connections.push(state));
  client.follow(id, {
    after: 0,
    onEvent: (event) => seen.events.push(event),
    onState: (operation) => seen.states.push(operation.state),
    onGone: (problem) => seen.gone.push(problem.code),
  });
}"""

#: The protocol by hand: `say` sends, `frames` keeps what comes.
OPEN = """async ({ token }) => {
  const socket = new WebSocket(`ws://${location.host}/ws/operations/`, ["lro.v1", `bearer.${token}`]);
  window.frames = [];
  window.say = (frame) => socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  socket.onmessage = (message) => frames.push(JSON.parse(message.data));
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  return socket.protocol;
}"""


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    page.goto("/app/")
    yield page
    context.close()


def start(stack: Stack, *, to: int, seconds_each: float = 0.0, name: str = "counts") -> str:
    answer = stack.client().post(f"/probe/{name}", json={"to": to, "seconds_each": seconds_each})
    return str(answer.json()["id"])


def stored_events(stack: Stack, identifier: str) -> list[dict[str, Any]]:
    client, events, after = stack.client(), [], 0
    while after is not None:
        answer = client.get(f"/operations/{identifier}/events/", params={"after": after}).json()
        events += answer["results"]
        after = answer["next_after"]
    return events


def assert_is_record(seen: list[dict[str, Any]], stored: list[dict[str, Any]]) -> None:
    """Each event once and in order; what is missing is progress that the event after it stands for."""
    told = {event["sequence"] for event in seen}
    stood_for = {event["sequence"] - number for event in seen for number in range(1, event.pop("merged", 0) + 1)}
    assert seen == [event for event in stored if event["sequence"] in told or event["sequence"] not in stood_for]
    assert {event["kind"] for event in stored if event["sequence"] in stood_for - told} <= {"progress"}


def test_a_page_does_not_notice_that_the_server_is_killed_and_comes_back(stack: Stack, page: Page) -> None:
    with stack.gate.holding_at(20):
        identifier = start(stack, name="saves", to=40)
        page.evaluate(FOLLOW, {"id": identifier, "password": PASSWORD})
        page.wait_for_function(
            "() => seen.connections.at(-1) === 'live' && seen.events.some((one) => one.kind === 'progress')"
        )
        stack.kill_web(identifier)
    page.wait_for_function("() => seen.connections.filter((state) => state === 'live').length === 2", timeout=60_000)
    assert stack.await_end(identifier).state == "succeeded"
    page.wait_for_function("() => seen.states.at(-1) === 'succeeded' && seen.events.at(-1).kind === 'succeeded'")
    seen = page.evaluate("seen")
    assert_is_record(seen["events"], stored_events(stack, identifier))
    assert "reconnecting" in seen["connections"]
    assert seen["gone"] == []


def test_a_page_whose_sockets_are_blocked_gets_the_same_by_polling(stack: Stack, page: Page) -> None:
    page.route_web_socket("**/ws/**", lambda socket: socket.close())
    page.reload()
    identifier = start(stack, to=60, seconds_each=0.1)
    page.evaluate(FOLLOW, {"id": identifier, "password": PASSWORD})
    page.wait_for_function(
        "() => seen.states.at(-1) === 'succeeded' && seen.events.at(-1).kind === 'succeeded'", timeout=60_000
    )
    seen = page.evaluate("seen")
    assert_is_record(seen["events"], stored_events(stack, identifier))
    assert "polling" in seen["connections"]
    assert "live" not in seen["connections"]


def test_a_page_is_told_that_there_is_nothing_to_follow(stack: Stack, page: Page) -> None:
    identifier = start(stack, to=1, seconds_each=0)
    stack.await_end(identifier)
    assert stack.client().delete(f"/operations/{identifier}").status_code == 204
    page.evaluate(FOLLOW, {"id": identifier, "password": PASSWORD})
    page.wait_for_function("() => seen.gone.length > 0")
    assert page.evaluate("seen.gone") == ["not_found"]


def test_a_plain_socket_needs_no_client(stack: Stack, page: Page) -> None:
    assert page.evaluate(OPEN, {"token": stack.token()}) == "lro.v1"
    page.wait_for_function("() => frames[0]?.type === 'ready' && frames[0].user === 'demo'")
    with stack.gate.holding_at(20):
        identifier = start(stack, name="saves", to=40)
        stack.await_progress(identifier, 20)
        page.evaluate("id => say({ type: 'subscribe', operation: id })", identifier)
        page.wait_for_function("() => frames.some((frame) => frame.type === 'caught_up')")
    page.evaluate("say('no JSON'); say({ type: 'dance', request_id: 7 }); say({ type: 'ping' })")
    page.wait_for_function("() => frames.some((frame) => frame.event?.kind === 'succeeded')")
    frames: list[dict[str, Any]] = page.evaluate("frames")

    assert [frame["type"] for frame in frames[:3]] == ["ready", "snapshot", "caught_up"]
    assert frames[1]["operation"]["id"] == frames[2]["operation"] == identifier
    refused = [(frame["code"], frame.get("request_id")) for frame in frames if frame["type"] == "refused"]
    assert refused == [("bad_frame", None), ("unknown_type", 7)]
    assert sum(frame["type"] == "pong" for frame in frames) == 1
    events = [frame["event"] | {"merged": frame.get("merged", 0)} for frame in frames if frame["type"] == "event"]
    after = frames[1]["operation"]["sequence"]
    assert_is_record(events, stored_events(stack, identifier)[after:])


def test_a_plain_socket_resumes_where_it_was(stack: Stack, page: Page) -> None:
    identifier = start(stack, to=10, seconds_each=0.05)
    stack.await_end(identifier)
    page.evaluate(OPEN, {"token": stack.token()})
    page.evaluate("id => say({ type: 'subscribe', operation: id, after: 2 })", identifier)
    page.wait_for_function("() => frames.some((frame) => frame.type === 'caught_up')")
    frames: list[dict[str, Any]] = page.evaluate("frames")
    events = [frame["event"] | {"merged": frame.get("merged", 0)} for frame in frames if frame["type"] == "event"]
    assert_is_record(events, stored_events(stack, identifier)[2:])
    assert "snapshot" not in {frame["type"] for frame in frames}


def test_a_plain_socket_is_closed_by_number(stack: Stack, page: Page) -> None:
    """A browser shows no reason but the code, and the frame before it says why."""
    closed = page.evaluate(
        """async () => {
          const socket = new WebSocket(`ws://${location.host}/ws/operations/`, ["lro.v1", "bearer.nonsense"]);
          const frames = [];
          socket.onmessage = (message) => frames.push(JSON.parse(message.data));
          const { code } = await new Promise((resolve) => { socket.onclose = resolve; });
          return { code, frames };
        }"""
    )
    assert closed["code"] == 4401
    assert [frame["code"] for frame in closed["frames"]] == ["not_authenticated"]


def test_what_a_page_did_is_what_another_sees(stack: Stack, page: Page) -> None:
    """Started, followed and cancelled by one page's client."""
    page.evaluate(
        """async ({ password }) => {
          const { LroClient, memoryTokens } = await import("/static/lro/client.js");
          const client = new LroClient({ tokens: memoryTokens() });
          await client.login("demo", password);
          const operation = await client.start("probe.counts", { to: 10000, seconds_each: 0.05 });
          window.operation = operation;
          client.follow(operation.id, { operation, onState: (next) => { window.operation = next; } });
          window.cancel = () => client.cancel(operation.id);
        }""",
        {"password": PASSWORD},
    )
    page.wait_for_function("() => operation.state === 'running' && operation.progress.current > 0")
    page.evaluate("cancel()")
    page.wait_for_function("() => operation.done")
    identifier = page.evaluate("operation.id")
    assert page.evaluate("operation.state") == "cancelled"
    until(lambda: stack.state(identifier) == "cancelled", what="the row says so too")


def test_the_page_in_the_documentation_works(stack: Stack, page: Page, tmp_path: Path) -> None:
    blocks = re.findall(r"```(html|js)\n(.*?)```", (ROOT / "docs" / "clients.md").read_text(), re.DOTALL)
    html = next(text for kind, text in blocks if kind == "html")
    script = next(text for kind, text in blocks if kind == "js" and '"../lro/client.js"' in text)
    page.route("**/uploads/import.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    table = tmp_path / "table.csv"
    table.write_text("id,name\n1,Ann\n2,Bob\n")

    page.goto("/static/uploads/upload.js")  # anything in the folder that the page is said to be in
    page.set_content(html)
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_text("Sign in").click()
    page.locator("[name=file]").set_input_files(table)
    page.locator("#import button").click()
    expect(page.locator("#state")).to_have_text("succeeded")
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#log li").first).to_contain_text("created")
    lines = page.locator("#log li").all_text_contents()
    page.reload()
    page.set_content(html)
    expect(page.locator("#log li").last).to_contain_text("succeeded")
    assert page.locator("#log li").all_text_contents() == lines


def test_the_page_of_an_operation_that_is_gone_says_so(stack: Stack, page: Page) -> None:
    identifier = start(stack, to=1, seconds_each=0)
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket("**/ws/**", pass_on)
    page.goto(f"/app/operations/{identifier}")
    page.locator("input[name=username]").fill("demo")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_test_id("login-submit").click()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    expect(page.get_by_test_id("operation-state")).to_have_attribute("data-state", "succeeded")
    frame = {"type": "unsubscribed", "operation": identifier, "code": "not_found", "message": "It was deleted."}
    sockets[-1].send(json.dumps(frame))
    expect(page.get_by_role("heading", name="There is no such operation")).to_be_visible()
    expect(page.get_by_test_id("operation-state")).to_be_hidden()


def test_the_page_of_the_admin_follows_by_its_session(stack: Stack, page: Page) -> None:
    with stack.gate.holding_at(20):
        identifier = start(stack, name="saves", to=40)
        stack.await_progress(identifier, 20)
        page.goto(f"/admin/login/?next=/admin/lro/operation/{identifier}/change/")
        page.locator("input[name=username]").fill("admin")
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("[type=submit]").click()
        rows = page.get_by_test_id("event-row")
        expect(rows.first).to_be_visible()
        shown = rows.count()
    expect(rows.last).to_contain_text("succeeded")
    told = [int(row.get_attribute("data-sequence") or 0) for row in rows.all()]
    assert told == sorted(set(told))
    assert {event["sequence"] for event in stored_events(stack, identifier) if event["kind"] != "progress"} <= set(told)
    assert shown < len(told), "the others came while one looked"
