"""What followers are compared with: a Channels consumer each, in a group to which each event is sent.

The way of the Channels tutorial, on the same server and the same broker, without any promise.
"""

from __future__ import annotations

import json
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

GROUP = "usual"


class Consumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def operation_event(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message["event"], separators=(",", ":")))


application = ProtocolTypeRouter(
    {"http": django_application, "websocket": URLRouter([path("ws/", Consumer.as_asgi())])}  # type: ignore[arg-type]
)
