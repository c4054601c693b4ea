"""Speak tus to the views, without a server."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from django.test import Client

MEDIA_TYPE = "application/offset+octet-stream"


class TusClient:
    """Each verb answers as the view did; `headers` come on top of what the protocol wants, None leaves one out."""

    def __init__(self, user: Any = None) -> None:
        from rest_framework_simplejwt.tokens import AccessToken

        self._client = Client(headers={"Authorization": f"Bearer {AccessToken.for_user(user)}"} if user else {})

    def send(self, method: str, address: str, body: bytes = b"", **headers: str | int | None) -> Any:
        """A header's name is written with underscores."""
        wanted = {"Tus_Resumable": "1.0.0", **headers}
        media = wanted.pop("Content_Type", MEDIA_TYPE if body else "")
        told = {name.replace("_", "-"): str(value) for name, value in wanted.items() if value is not None}
        return self._client.generic(method, address, body, str(media), headers=told, CONTENT_TYPE=str(media))

    def create(self, length: int | None = None, body: bytes = b"", **headers: str | int | None) -> Any:
        return self.send("POST", "/uploads/files/", body, **{"Upload_Length": length, **headers})

    def created(self, length: int | None, **metadata: str) -> str:
        """The address of a new upload."""
        deferred = {"Upload_Defer_Length": 1} if length is None else {}
        answer = self.create(length, Upload_Metadata=encode(metadata) or None, **deferred)
        assert answer.status_code == 201, answer.content
        return str(answer.headers["Location"])

    def patch(self, address: str, offset: int | str | None, body: bytes, **headers: str | int | None) -> Any:
        return self.send("PATCH", address, body, **{"Upload_Offset": offset, "Content_Type": MEDIA_TYPE, **headers})

    def head(self, address: str, **headers: str | int | None) -> Any:
        return self.send("HEAD", address, **headers)

    def offset(self, address: str) -> int:
        return int(self.head(address).headers["Upload-Offset"])

    @property
    def post(self) -> Callable[..., Any]:
        return self._client.post


def encode(metadata: dict[str, str]) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())
