"""The OpenAPI document: one path for each registered operation, and the resources of the contract as components."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

from django.urls import reverse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from ...runtime import registry
from ...runtime.operations import OperationTask
from .. import schemas
from . import documented
from .documented import answer, header, problems, query

_JSON = "application/json"


class StartSchema(AutoSchema):
    """Of `POST /{module}/{operation}`, where the path names a registered operation."""

    def _task(self) -> type[OperationTask]:
        return registry.find(".".join(self.path.split("/")[-2:]))

    def get_operation_id(self) -> str:
        return f"start_{self._task().name}".replace(".", "_").replace("-", "_")

    def get_summary(self) -> str:
        return _words(self._task())[0]

    def get_description(self) -> str:  # type: ignore[override]
        task = self._task()
        needs = f"Needs the permission `{task.permission}`." if task.permission else ""
        return "\n\n".join(part for part in (_words(task)[1], needs) if part)

    def get_tags(self) -> list[str]:
        return [self._task().name.partition(".")[0]]

    def get_override_parameters(self) -> Any:
        return _START_PARAMETERS

    def get_request_serializer(self) -> Any:
        serializer = self._task().input_serializer
        if serializer is None:
            return {_JSON: documented.FREE_INPUT}
        return {media: serializer for media in _media(serializer)}

    def get_response_serializers(self) -> Any:
        operation = self._operation()
        either = {"oneOf": [operation, schemas.ref("Valid")]}
        return {
            200: answer(
                either, "The operation, which is queued; with `validate_only`, that nothing stands against it."
            ),
            202: answer(operation, "The same, where `Prefer: respond-async` asked for it."),
            **problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
        }

    def _operation(self) -> schemas.Schema:
        """The resource, in which the result is typed where the class has a `result_serializer`."""
        task = self._task()
        if task.result_serializer is None:
            return schemas.ref("Operation")
        result = self.resolve_serializer(task.result_serializer, "response").ref
        own = {"name": {"type": "string", "const": task.name}, "result": schemas.maybe(result)}
        words = task.name.replace(".", "-").replace("_", "-").split("-")
        component = ResolvedComponent(
            name="".join(word.capitalize() for word in words) + "Operation",
            type=ResolvedComponent.SCHEMA,
            object=task,
            schema={"allOf": [schemas.ref("Operation"), {"type": "object", "properties": own}]},
        )
        self.registry.register_on_missing(component)
        return dict(component.ref)


class VerbSchema(AutoSchema):
    """Of `POST /operations/{id}/{verb}`."""

    view: Any

    def get_operation_id(self) -> str:
        return f"{self.view.verb}_operation"

    def get_summary(self) -> str:
        return documented.VERB_SUMMARIES[self.view.verb]

    def get_description(self) -> str:  # type: ignore[override]
        return "A repeat is harmless."

    def get_request_serializer(self) -> Any:
        return {_JSON: documented.RETRY_OPTIONS} if self.view.verb == "retry" else None

    def get_response_serializers(self) -> Any:
        errors = (400, 409, 415, 429) if self.view.verb == "retry" else (409,)
        return {200: answer(schemas.ref("Operation"), "As it is now."), **problems(*errors)}


class ScraperTokenScheme(OpenApiAuthenticationExtension):
    target_class = "lro.transports.rest.metrics.ScraperToken"
    name = "monitorAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "The token that `METRICS_TOKEN` sets."}


class Endpoints(EndpointEnumerator):
    def get_api_endpoints(self, patterns: Any = None, prefix: str = "") -> Any:
        found = super().get_api_endpoints(patterns, prefix)  # type: ignore[no-untyped-call]
        return [each for endpoint in found for each in _concrete(*endpoint)]


class Generator(SchemaGenerator):
    endpoint_inspector_cls = Endpoints

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        for name, schema in {**schemas.RESOURCES, **documented.RESOURCES}.items():
            own = copy.deepcopy(schema)  # the generator's hooks write into it
            self.registry.register(ResolvedComponent(name, ResolvedComponent.SCHEMA, own, object=name))

    def parse(self, input_request: Any, public: bool) -> dict[str, Any]:
        paths: dict[str, Any] = super().parse(input_request, public)  # type: ignore[no-untyped-call]
        for path, calls in paths.items():
            for call in calls.values():
                _complete(path, call)
        return {**paths, **_health()}


def _concrete(path: str, regex: str, method: str, callback: Any) -> Iterator[tuple[str, str, str, Any]]:
    """The pattern that serves all operations as one path for each of them."""
    if not isinstance(callback.cls.schema, StartSchema):
        yield path, regex, method, callback
        return
    for task in registry.public_classes():
        module, operation = task.name.split(".")
        concrete = path.replace("{module}", module).replace("{operation}", operation)
        yield concrete, concrete, method, callback


def _complete(path: str, call: dict[str, Any]) -> None:
    """The answers that every call has which needs a login, or names something."""
    statuses = [401] * ("security" in call and {} not in call["security"]) + [404] * ("{" in path)
    for status in statuses:
        call["responses"].setdefault(str(status), _problem(status))
    call["responses"] = dict(sorted(call["responses"].items()))


def _problem(status: int) -> dict[str, Any]:
    (response,) = problems(status).values()
    content = {"application/problem+json": {"schema": response.response}}
    return {"description": response.description, "content": content}


def _health() -> dict[str, Any]:
    """Plain views, which no login, renderer or negotiation may stand before."""

    def call(name: str, summary: str, schema: str, answers: dict[str, str]) -> dict[str, Any]:
        content = {_JSON: {"schema": schemas.ref(schema)}}
        responses = {status: {"description": text, "content": content} for status, text in answers.items()}
        return {"get": {"operationId": name, "summary": summary, "tags": ["health"], "responses": responses}}

    is_ready = {"200": "All of it answers.", "503": "`checks` says what does not."}
    return {
        reverse("health-live"): call("live", "Whether this process answers", "Liveness", {"200": "It does."}),
        reverse("health-ready"): call("ready", "Whether all that it needs answers too", "Readiness", is_ready),
    }


def _words(task: type[OperationTask]) -> tuple[str, str]:
    """The first line of the class's docstring, and the rest."""
    first, _, rest = inspect.cleandoc(task.__doc__ or task.name).partition("\n")
    return first, rest.strip()


def _media(serializer: type[serializers.Serializer[Any]]) -> list[str]:
    """A form where a file is sent; where the file may be left out, JSON as well."""
    files = [field for field in serializer().fields.values() if isinstance(field, serializers.FileField)]
    return ["multipart/form-data"] * bool(files) + [_JSON] * (not any(field.required for field in files))


_MADE = [200, 202]
_START_PARAMETERS: list[OpenApiParameter] = [
    query("validate_only", {"type": "boolean", "default": False}, "Check the input, and start nothing."),
    header(
        "Idempotency-Key",
        "With the same key and the same input, the operation that the first request made.",
        schema={"type": "string", "maxLength": 255},
    ),
    header("Prefer", "`respond-async` is answered with 202; `wait=5` when it is done, or after so many seconds."),
    header("Location", "The operation's address.", of=_MADE, schema={"type": "string", "format": "uri"}),
    header("Operation-Location", "The same.", of=_MADE, schema={"type": "string", "format": "uri"}),
    header("Operation-Id", "The operation's id.", of=_MADE, schema=schemas.ID),
    header("Retry-After", documented.RETRY_AFTER, of=[*_MADE, 429, 503], schema=schemas.WHOLE),
    header("Idempotency-Replayed", "`true` where an earlier request made the operation.", of=_MADE),
    header("Preference-Applied", "`respond-async`, or `wait` and its seconds.", of=_MADE),
]
