"""From a command's arguments to a submitted operation, through the same checks as a request."""

from __future__ import annotations

import json
import mimetypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopFutureHandlers, load_handler
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied, ValidationError

from ...exceptions import LroError, Problem, UnknownOperation
from ...models import Operation
from ...runtime import registry, submission
from .exits import Exit, ending

#: These take JSON; every other field takes text, as from a form.
_STRUCTURED = (
    serializers.JSONField,
    serializers.ListField,
    serializers.DictField,
    serializers.MultipleChoiceField,
    serializers.BaseSerializer,
)
Fields = dict[str, "serializers.Field[Any, Any, Any, Any]"]


def start(name: str, options: dict[str, Any], owner: Any) -> Operation:
    try:
        fields = _fields(name)
        data = _read(options["input_path"]) | dict(parameter(pair, fields) for pair in options["parameters"])
        with _with_file(data, options["file_path"], fields) as complete:
            return submission.submit(name, complete, owner).operation
    except (UnknownOperation, PermissionDenied) as refusal:
        raise ending(Exit.NOT_FOUND, str(refusal)) from refusal
    except ValidationError as refusal:
        raise ending(Exit.USAGE, "\n".join(_lines(refusal.detail))) from refusal
    except Problem as problem:
        code = Exit.NOT_FOUND if problem.status in (401, 403, 404) else Exit.USAGE
        raise ending(code, problem.message) from problem
    except LroError as error:
        raise ending(Exit.USAGE, error.message) from error


def _fields(name: str) -> Fields:
    serializer = registry.find(name).input_serializer
    return dict(serializer().fields) if serializer else {}


def _read(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        data = json.loads(sys.stdin.read() if path == "-" else Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ending(Exit.USAGE, f"--input {path}: {error}") from error
    if not isinstance(data, dict):
        raise ending(Exit.USAGE, f"--input {path}: it must be a JSON object.")
    return data


def parameter(pair: str, fields: Fields) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not equals:
        raise ending(Exit.USAGE, f"--param takes name=value, not '{pair}'.")
    if name in fields and not isinstance(fields[name], _STRUCTURED):
        return name, text
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def _lines(detail: Any, place: str = "") -> Iterator[str]:
    if isinstance(detail, dict):
        for key, value in detail.items():
            yield from _lines(value, place if key == "non_field_errors" else f"{place}.{key}".lstrip("."))
    elif isinstance(detail, list):
        for value in detail:
            yield from _lines(value, place)
    else:
        yield f"{place}: {detail}" if place else str(detail)


@contextmanager
def _with_file(data: dict[str, Any], path: str | None, fields: Fields) -> Iterator[dict[str, Any]]:
    """The data with the file in its field; what nobody kept of it is gone afterwards."""
    if path is None:
        yield data
        return
    name = next((name for name, field in fields.items() if isinstance(field, serializers.FileField)), None)
    if name is None:
        raise ending(Exit.USAGE, "This operation takes no file.")
    try:
        file = receive(Path(path), name)
    except OSError as error:
        raise ending(Exit.USAGE, f"--file {path}: {error.strerror or error}") from error
    try:
        yield {**data, name: file}
    finally:
        file.close()


def receive(path: Path, field: str) -> UploadedFile[Any]:
    """Hand a local file to the project's upload handlers, as a request would."""
    handlers = [load_handler(name, HttpRequest()) for name in settings.FILE_UPLOAD_HANDLERS]
    try:
        return _fed(handlers, path, field)
    except BaseException:
        for handler in handlers:
            handler.upload_interrupted()
        raise


def _fed(handlers: list[FileUploadHandler], path: Path, field: str) -> UploadedFile[Any]:
    size = path.stat().st_size
    with path.open("rb") as source:
        for handler in handlers:
            handler.handle_raw_input(source, {}, size, "")
        handlers = _opened(handlers, path, field, size)
        received = [0] * len(handlers)
        while chunk := source.read(min(handler.chunk_size for handler in handlers)):
            _pass_on(handlers, chunk, received)
    completed = (handler.file_complete(count) for handler, count in zip(handlers, received, strict=True))
    return next(file for file in completed if file is not None)


def _opened(handlers: list[FileUploadHandler], path: Path, field: str, size: int) -> list[FileUploadHandler]:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    for index, handler in enumerate(handlers):
        try:
            handler.new_file(field, path.name, kind, size)
        except StopFutureHandlers:
            return handlers[: index + 1]
    return handlers


def _pass_on(handlers: list[FileUploadHandler], chunk: bytes, received: list[int]) -> None:
    rest: bytes | None = chunk
    for index, handler in enumerate(handlers):
        if rest is None:
            return
        length = len(rest)
        rest = handler.receive_data_chunk(rest, received[index])
        received[index] += length
