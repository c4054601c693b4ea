"""Speak tus to the views, without a server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.test import Client
from django.utils import timezone

from uploads.models import ResumableUpload

MEDIA_TYPE = "application/offset+octet-stream"
CONTENT = b"name,age\nAda,36\nGrace,85\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


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


def row(address: str) -> ResumableUpload:
    return ResumableUpload.objects.get(pk=address.rsplit("/", 1)[1])


def kept(files: Path) -> list[str]:
    return sorted(str(path.relative_to(files).parent) for path in files.rglob("*") if path.is_file())


def digest(algorithm: str, content: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def age(address: str) -> None:
    ResumableUpload.objects.filter(pk=row(address).pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def assert_refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert ("Tus-Version" in answer.headers) is (status == 412)
