"""The same follower over each transport."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Self

from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from tests.end_to_end.follower import Follower
from tests.end_to_end.stack import Stack

_WAIT_SECONDS, _POLL_SECONDS = 20, 0.2


def open_socket(stack: Stack, *protocols: str, **options: Any) -> ClientConnection:
    address = f"ws://127.0.0.1:{stack.port}/ws/operations/"
    offered: Any = list(protocols) or None
    return connect(address, subprotocols=offered, proxy=None, **options)


class WebSocketFollower(Follower):
    """Follows its operation, or the `targets` that it is given, in the order in which they are given."""

    def __init__(self, *args: Any, targets: Collection[dict[str, Any]] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self._targets = targets
        self._link: Any = None

    def say(self, **frame: Any) -> None:
        assert self._link is not None
        self._link.send(json.dumps(frame))

    def renew(self, token: str) -> None:
        super().renew(token)
        self.say(type="authenticate", token=token)

    def _follow(self) -> None:
        # Without pings of its own: who does not read does not hear their answers.
        with self._open_link(sock=self._connect(), max_queue=1, close_timeout=1, ping_interval=None) as self._link:
            for target in self._targets or [{"operation": self._operation, "after": self._last}]:
                self.say(type="subscribe", **target)
            try:
                while self._is_listening():
                    self._read(self._link)
                self._read_the_rest(self._link)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                self._told({"type": "closed", "code": code})
                self._is_over = code in (4401, 4403, 4408, 4429)
                raise
            finally:
                self.drop()

    def _open_link(self, **options: Any) -> Any:
        return open_socket(self._stack, "lro.v1", f"bearer.{self._token}", **options)

    def _read(self, link: Any) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(link.recv(timeout=30))
        if frame["type"] == "event":
            self._hear(frame["event"], frame.get("merged", 0))
        else:
            self._told(frame)
        return frame

    def _read_the_rest(self, link: Any) -> None:
        """What is told after the end is a fault, so hear it: a repeated subscription is answered in its turn."""
        if self.is_done and self._operation and not self._targets:
            self.say(type="subscribe", operation=self._operation, after=self._last)
            while self._read(link)["type"] != "caught_up":
                pass


class SocketIOFollower(WebSocketFollower):
    """The same over Socket.IO on a WebSocket: each thing said is an event that asks to be acknowledged."""

    def _open_link(self, **options: Any) -> Any:
        return _SocketIO(self._stack, self._token, **options)


class _SocketIO:
    """A link that speaks frames as the WebSocket does: Socket.IO's packets (protocol 5) in those of Engine.IO (4)."""

    def __init__(self, stack: Stack, token: str, **options: Any) -> None:
        address = f"ws://127.0.0.1:{stack.port}/socket.io/?EIO=4&transport=websocket"
        self._link = connect(address, proxy=None, **options)
        self._token = token
        self._last: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._link.__enter__()
        self._link.send(f"40/operations,{json.dumps({'token': self._token})}")
        self._last = json.loads(self.recv(timeout=30))
        return self

    def __exit__(self, *error: Any) -> None:
        self._link.__exit__(*error)

    def send(self, text: str) -> None:
        frame = json.loads(text)
        self._link.send(f"42/operations,1{json.dumps([frame.pop('type'), frame])}")

    def recv(self, timeout: float) -> str:
        while True:
            packet = str(self._link.recv(timeout=timeout))
            kind, content = packet[:2], packet.partition(",")[2].removeprefix("1")
            if packet == "2":
                self._link.send("3")
            elif kind == "44":
                self._end({"type": "refused", **json.loads(content)["data"]})
            elif kind == "41":
                self._end(self._last)
            elif kind == "40":
                return json.dumps({"type": "entered"})
            elif kind in ("42", "43"):
                self._last = json.loads(content)[-1]
                return json.dumps(self._last)

    def _end(self, refused: dict[str, Any]) -> None:
        code = 4429 if refused.get("code") == "too_many_frames" else 4401
        raise ConnectionClosedError(Close(code, str(refused.get("code"))), None)


class HTTPFollower(Follower):
    def _ask(self, link: HTTPConnection, query: str, **headers: str) -> HTTPResponse:
        path, token = f"/operations/{self._operation}/events/{query}", self._token
        link.request("GET", path, headers={"Authorization": f"Bearer {token}", **headers})
        answer = link.getresponse()
        if answer.status == 401 and token != self._token:
            raise OSError("its token expired while it was held, and was renewed meanwhile")
        if answer.status in (401, 404):
            self._end(type="refused", status=answer.status)
        elif answer.status >= 500:
            raise OSError(f"it answers {answer.status}")
        return answer

    def _link(self) -> HTTPConnection:
        link = HTTPConnection("127.0.0.1", self._stack.port)
        link.sock = self._connect()
        return link


class EventStreamFollower(HTTPFollower):
    """Server-sent events, read as the HTML standard has it: lines end with a line feed and with nothing else."""

    def _follow(self) -> None:
        resume = {"Last-Event-ID": str(self._last)} if self.log else {}
        with self._ask(self._link(), f"?after={self.after}", Accept="text/event-stream", **resume) as answer:
            if answer.status == 204:
                self._end(type="complete")
            if answer.status != 200:
                return
            assert answer.headers["content-type"].startswith("text/event-stream")
            for record in self._records(answer):
                self._take(record)

    def _records(self, answer: HTTPResponse) -> Iterator[dict[str, str]]:
        text = b""
        while self._is_reading() and (piece := answer.read1(65536)):
            *whole, text = (text + piece).split(b"\n\n")
            for record in whole:
                yield _fields(record.decode())

    def _is_reading(self) -> bool:
        """To the end of the stream, which the server must make after the last event."""
        self._reading.wait()
        return not self._stopping.is_set()

    def _take(self, record: dict[str, str]) -> None:
        if "data" not in record:
            return
        data = json.loads(record["data"])
        if "event" in record:
            assert data["type"] == record["event"]
            self._told(data)
        else:
            assert record["id"] == str(data["sequence"])
            self._hear(data)


class LongPollFollower(HTTPFollower):
    """One request after the other, each held until there is news."""

    query = f"&wait={_WAIT_SECONDS}"

    def _follow(self) -> None:
        link = self._link()
        while self._is_listening():
            with self._ask(link, f"?after={self._last}{self.query}") as answer:
                page = json.loads(answer.read())
            if answer.status == 200:
                self._take(page)

    def _take(self, page: dict[str, Any]) -> None:
        for event in page["results"]:
            self._hear(event)
        if page["done"] and not page["results"]:
            self._end(type="complete")


class PagingFollower(LongPollFollower):
    """Asks again and again, and is answered at once."""

    query = ""

    def _take(self, page: dict[str, Any]) -> None:
        super()._take(page)
        if not page["results"]:
            time.sleep(_POLL_SECONDS)


def _fields(record: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in record.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        fields[name] = f"{fields[name]}\n{value}" if name in fields else value
    return fields
