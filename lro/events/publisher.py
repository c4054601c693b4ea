"""Tell the web processes, after commit, that an operation has new events.

A push is only a hint: "operation X is at sequence n". Whoever follows X reads the rows after its own cursor, so a hint
that is lost, doubled or late does no harm. An outbox sends them, which keeps the caller's cost to a dictionary entry
and merges the hints of one operation while a send is under way.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from channels.layers import get_channel_layer

from .outbox import Outbox

logger = logging.getLogger(__name__)
GROUP = "lro"


class Hint(NamedTuple):
    operation: str
    root: str
    owner: int | None
    sequence: int


def publish(hint: Hint) -> None:
    """Send `hint` soon, without waiting and without an error."""
    _outbox.put(hint.operation, hint)


def _deliver(hints: list[Hint]) -> None:
    _loop().run_until_complete(_send(hints))


async def _send(hints: list[Hint]) -> None:
    layer: Any = get_channel_layer()
    try:
        message = {"type": "lro.hints", "hints": [list(hint) for hint in hints]}
        await asyncio.wait_for(layer.group_send(GROUP, message), timeout=2)
    except Exception as error:  # the followers' floor poll heals what is lost here
        logger.warning("%d hints were not sent (%s); followers will read the rows instead", len(hints), error)


_local = threading.local()


def _loop() -> asyncio.AbstractEventLoop:
    """One loop for the life of the sending thread: the channel layer keeps its connections by loop."""
    if not hasattr(_local, "loop"):
        _local.loop = asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = _local.loop
    return loop


_outbox: Outbox[Hint] = Outbox("lro-publisher", _deliver)


async def hints() -> AsyncIterator[list[Hint]]:
    """The hints of all processes, as they arrive."""
    layer: Any = get_channel_layer()
    channel = await layer.new_channel("lro")
    await layer.group_add(GROUP, channel)
    try:
        while True:
            message = await layer.receive(channel)
            yield [Hint(*hint) for hint in message["hints"]]
    finally:
        await layer.group_discard(GROUP, channel)
