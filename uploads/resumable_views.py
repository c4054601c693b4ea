"""Resumable upload by tus 1.0: the protocol's methods at `/uploads/files/` and `/uploads/files/{id}`.

The views run on the event loop, because they take the body as it comes; all else they do in the request's thread.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import http_date
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lro import LroError, Problem

from . import appending, documented, resumable, tus
from .appending import Turn
from .bodies import Body
from .models import ResumableUpload
from .receiving import max_bytes

#: How long a request waits for another one that is at the same upload.
_WAIT_SECONDS, _LOOK_SECONDS = 2.5, 0.05


class ProtocolView(APIView):
    """What both addresses have in common: the version, the override of the method, the headers of every answer."""

    view_is_async = True
    http_method_names = ["options", "post", "head", "patch", "delete"]
    upload: Any = None  # which the answer tells of

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        self.args, self.kwargs, self.headers = args, kwargs, {}
        self.request = wrapped = self.initialize_request(request, *args, **kwargs)
        try:
            method = self._method(request)
            if method != "options":
                await sync_to_async(self.initial)(wrapped, *args, **kwargs)
                tus.check_version(request.headers)
            handler = getattr(self, method, self.http_method_not_allowed)
            answer = handler if inspect.iscoroutinefunction(handler) else sync_to_async(handler)
            response = await answer(wrapped, *args, **kwargs)
        except Exception as error:
            response = self.handle_exception(error)
        self.response = self.finalize_response(wrapped, response, *args, **kwargs)
        return self.response

    def _method(self, request: HttpRequest) -> str:
        override = request.headers.get("X-HTTP-Method-Override", "").upper()
        if request.method == "POST" and override in tus.OVERRIDES:
            return override.lower()
        return str(request.method).lower() if not override else "overridden"

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response["Tus-Resumable"] = tus.VERSION
        response["Cache-Control"] = "no-store"
        if response.status_code == 412:
            response["Tus-Version"] = tus.VERSION
        if self.upload is not None:
            for name, value in _facts(self.upload).items():
                response[name] = value
        return super().finalize_response(request, response, *args, **kwargs)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        return Response(status=204, headers=tus.announcement(max_bytes()))

    # What both do with a body

    async def receive(self, request: Request, offset: int) -> None:
        """Append the body, and see to the end of the file where that is reached. Raises `Problem`."""
        headers, body = request.headers, Body(request._request)
        checksum, size = tus.checksum_of(headers), tus.content_length_of(headers)
        length = tus.known_length(headers, max_bytes())
        with closing(await self._turn()) as turn, closing(body):
            try:
                await _apart(turn.begin, offset, length=length, size=size, checksum=checksum)
                digest = await self._append(turn, body)
            finally:
                self.upload = turn.upload
        if self.upload.is_whole:
            await sync_to_async(self._finish)(digest)

    async def _append(self, turn: Turn, body: Body) -> str | None:
        while (piece := await body.read()) is not None:
            await _apart(turn.append, piece)
        digest: str | None = await _apart(turn.end, is_whole=body.is_whole)
        return digest

    async def _turn(self) -> Turn:
        turn = await sync_to_async(appending.take_turn)(self.upload)
        if turn is None:
            await sync_to_async(appending.ask_for_turn)(self.upload)
            turn = await _soon(lambda: appending.take_turn(self.upload))
        if turn is None:
            raise appending.locked()
        return turn

    def _finish(self, digest: str | None) -> None:
        resumable.seal(self.upload, digest)
        resumable.start_import(self.upload)


class UploadListView(ProtocolView):
    @documented.create
    async def post(self, request: Request) -> Response:
        length = tus.length_of(request.headers, max_bytes())
        metadata = tus.metadata_of(request.headers)
        tus.checksum_of(request.headers)
        has_body = tus.content_length_of(request.headers) or "Transfer-Encoding" in request.headers
        if has_body:
            tus.check_media_type(request.headers)
        upload = self.upload = await sync_to_async(resumable.create)(request.user, length, metadata)
        try:
            if has_body or length == 0:
                await self.receive(request, 0)
        except Problem as problem:
            if problem.status == tus.CHECKSUM_MISMATCH:  # the sender will begin anew
                await sync_to_async(resumable.delete)(upload)
                self.upload = None
            raise
        return Response(status=201, headers={"Location": reverse("resumable-upload", args=[upload.pk])})


class UploadView(ProtocolView):
    @documented.override
    async def post(self, request: Request, pk: UUID) -> None:
        """Only to override the method."""
        self.http_method_not_allowed(request)

    async def head(self, request: Request, pk: UUID) -> Response:
        """How much there is. A request that is at it, but silent, is asked to let go: its sender has lost it."""
        self.upload = await sync_to_async(resumable.find)(request.user.pk, pk)
        if await sync_to_async(appending.is_taken)(self.upload):
            await sync_to_async(appending.ask_for_turn)(self.upload)
            await _soon(lambda: not appending.is_taken(self.upload))
        self.upload = await sync_to_async(resumable.find)(request.user.pk, pk)
        if self.upload.is_whole:
            await sync_to_async(self._catch_up)()
        return Response(headers=_description(self.upload))

    def _catch_up(self) -> None:
        """Do what was not done at the last byte, where the process was killed or the import was refused."""
        try:
            self._finish(None)
        except (LroError, APIException):
            if not ResumableUpload.objects.filter(pk=self.upload.pk).exists():
                raise

    @documented.append
    async def patch(self, request: Request, pk: UUID) -> Response:
        tus.check_media_type(request.headers)
        offset = tus.offset_of(request.headers)
        tus.checksum_of(request.headers)
        self.upload = await sync_to_async(resumable.find)(request.user.pk, pk)
        if offset != self.upload.offset:
            raise resumable.offset_mismatch(self.upload, offset)
        await self.receive(request, offset)
        return Response(status=204)

    @documented.give_up
    def delete(self, request: Request, pk: UUID) -> Response:
        resumable.delete(resumable.find(request.user.pk, pk))
        return Response(status=204)


def _facts(upload: ResumableUpload) -> dict[str, str]:
    """What every answer about an upload tells."""
    facts = {"Upload-Offset": str(upload.offset), "Upload-Expires": http_date(upload.expires_at.timestamp())}
    if upload.operation_id is not None:
        facts |= {
            "Operation-Id": str(upload.operation_id),
            "Operation-Location": reverse("operation", args=[upload.operation_id]),
        }
    return facts


def _description(upload: ResumableUpload) -> dict[str, str]:
    length = {"Upload-Defer-Length": "1"} if upload.length is None else {"Upload-Length": str(upload.length)}
    metadata = {"Upload-Metadata": upload.metadata} if upload.metadata else {}
    return length | metadata


async def _apart(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Do it in the request's thread, and keep no connection to the database while the next bytes are waited for."""

    def run() -> Any:
        try:
            return work(*args, **options)
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return await sync_to_async(run)()


async def _soon(question: Callable[[], Any]) -> Any:
    """The first true answer, or the one that stands when the time is over."""
    until = asyncio.get_running_loop().time() + _WAIT_SECONDS
    while not (answer := await sync_to_async(question)()) and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(_LOOK_SECONDS)
    return answer
