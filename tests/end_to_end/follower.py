"""A client that follows one operation over the real socket and comes back whenever it is thrown out."""

from __future__ import annotations

import json
import threading
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.end_to_end.stack import Stack


class Follower(threading.Thread):
    """Keeps every event frame in `log`, resuming by the last sequence."""

    def __init__(self, stack: Stack, operation: str) -> None:
        super().__init__(daemon=True)
        self.log: list[dict[str, Any]] = []
        self.connections = 0
        self._stack, self._operation = stack, operation
        self._token = stack.token()
        self._stopping = threading.Event()

    @property
    def is_done(self) -> bool:
        return bool(self.log) and self.log[-1]["kind"] in ("succeeded", "failed", "cancelled")

    def run(self) -> None:
        while not self.is_done and not self._stopping.is_set():
            try:
                self._follow()
            except (OSError, WebSocketException, TimeoutError):
                self._stopping.wait(0.1)

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=10)

    def _follow(self) -> None:
        address = f"ws://127.0.0.1:{self._stack.port}/ws/operations/"
        protocols: Any = ["lro.v1", f"bearer.{self._token}"]
        with connect(address, subprotocols=protocols, proxy=None, open_timeout=5) as socket:
            self.connections += 1
            after = self.log[-1]["sequence"] if self.log else 0
            socket.send(json.dumps({"type": "subscribe", "operation": self._operation, "after": after}))
            while not self.is_done and not self._stopping.is_set():
                frame = json.loads(socket.recv(timeout=30))
                if frame["type"] == "event":
                    self.log.append(frame["event"])
