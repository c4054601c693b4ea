"""What the OpenAPI document says of each view's calls; each name here decorates one method in `views`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from ...states import State
from ..schemas import (
    ADDRESS,
    FLAG,
    ID,
    JSON_OBJECT,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    enumeration,
    list_of,
    maybe,
    record,
    ref,
    said,
)

_NEXT = said(maybe(ADDRESS), "The address of the next page; null on the last one.")
_PLACE = record(
    "One place in the request that is wrong.",
    {},
    {"pointer": said(TEXT, "A JSON pointer into the body."), "parameter": TEXT, "message": TEXT, "code": TEXT},
)

RESOURCES: dict[str, Schema] = {
    "Problem": record(
        "Every error has this form (RFC 9457).",
        {
            "type": said(TEXT, "`urn:lro:problem:` and the code."),
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": TEXT,
            "instance": said(ADDRESS, "The path of the request."),
            "code": TEXT,
            "errors": list_of({**_PLACE, "additionalProperties": True}),
        },
    ),
    "Valid": record("The answer to `validate_only`.", {"valid": {"type": "boolean", "const": True}}),
    "OperationPage": record(
        "Newest first.",
        {
            "results": list_of(ref("Operation")),
            "next": _NEXT,
            "counts": record("Of all pages.", {tab: WHOLE for tab in ("all", "running", "failed", "done")}),
        },
    ),
    "ChildPage": record("In the order of their birth.", {"results": list_of(ref("Operation")), "next": _NEXT}),
    "EventPage": record(
        "In the order of their sequence.",
        {
            "results": list_of(ref("Event")),
            "next_after": said(maybe(WHOLE), "`after` of the next page."),
            "done": said(FLAG, "The operation had ended: without a next page, these are all."),
        },
    ),
    "RejectPage": record("In the order of their position.", {"results": list_of(ref("Reject")), "next": _NEXT}),
    "ArtifactPage": record("All of them.", {"results": list_of(ref("Artifact")), "next": {"type": "null"}}),
    "Liveness": record("", {"status": {"type": "string", "const": "live"}}),
    "Readiness": record(
        "",
        {
            "status": enumeration("", ("ready", "unready")),
            "checks": {"type": "object", "additionalProperties": TEXT, "description": "`ok`, or what is wrong."},
        },
    ),
}

_PROBLEMS = {
    400: "The request, or a value in it, is malformed.",
    401: "No token, or one that is no longer valid.",
    403: "The caller lacks the permission, or the CSRF token.",
    404: "There is nothing here that the caller may see.",
    409: "The state of the operation does not allow it, or another one is at work on the same thing.",
    413: "The input is over its limit.",
    415: "The media type, or the format of a file, is not supported.",
    422: "The content cannot be accepted, or the Idempotency-Key was used with another input.",
    429: "The caller has too many operations under way.",
    503: "Too much work waits already.",
}


def problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    """The errors of a call, as its `responses`."""
    return {
        (status, "application/problem+json"): OpenApiResponse(ref("Problem"), description=_PROBLEMS[status])
        for status in statuses
    }


def answer(schema: Schema, description: str) -> OpenApiResponse:
    return OpenApiResponse(schema, description=description)


def query(name: str, schema: Schema, description: str = "") -> OpenApiParameter:
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=description)


def header(name: str, description: str, *, schema: Schema = TEXT, of: list[int] | None = None) -> OpenApiParameter:
    """A header of the request, or of the answers with the statuses `of`."""
    response: Any = of or False
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=description, response=response)


def _limit(default: int) -> OpenApiParameter:
    return query("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": default}, "Rows of a page.")


def _wait(description: str) -> OpenApiParameter:
    return query("wait", {"type": "integer", "minimum": 0, "maximum": 30, "default": 0}, description)


_CURSOR = query("cursor", TEXT, "From `next`; opaque.")
_STATES = query(
    "state", {"type": "string", "pattern": r"^[a-z]+(,[a-z]+)*$"}, f"One or more, with commas: {', '.join(State)}."
)
RETRY_AFTER = "Seconds until it is worth asking again."

list_operations = extend_schema(
    operation_id="list_operations",
    summary="List operations",
    description="Without `parent`, `root` or `search`, children are left out.",
    parameters=[
        _STATES,
        query("name", TEXT, "As `uploads.import`."),
        query("module", TEXT),
        query("parent", ID),
        query("root", ID),
        query("tag", TEXT),
        query("created_after", TIME),
        query("created_before", TIME),
        query("search", TEXT, "In names and ids, and in inputs of operations without a secret one."),
        query("owner", TEXT, "A user name."),
        _CURSOR,
        _limit(50),
    ],
    responses={200: answer(ref("OperationPage"), "A page."), **problems(400)},
)
read_operation = extend_schema(
    operation_id="read_operation",
    summary="Read an operation",
    description="200 for a failed one too: it is the reading that succeeded.",
    parameters=[
        header("If-None-Match", "An `ETag` from before."),
        _wait(
            "The answer comes when it is another than `If-None-Match` names (without that, when it is done), or "
            "after so many seconds."
        ),
        header("ETag", "Changes with every event.", of=[200, 304]),
        header("Retry-After", f"{RETRY_AFTER} Missing once the operation is done.", schema=WHOLE, of=[200, 304]),
    ],
    responses={200: answer(ref("Operation"), "As it is now."), 304: answer({}, "Nothing happened since.")},
)
delete_operation = extend_schema(
    operation_id="delete_operation",
    summary="Delete an operation",
    description="With its children and files.",
    responses={204: answer({}, "It is gone."), **problems(409)},
)
list_events = extend_schema(
    operation_id="list_events",
    summary="List events",
    description="A client that accepts `text/event-stream` is sent each event when it happens, under its sequence as "
    "`id`, to the last one; what else there is to say comes under the name of its frame on the WebSocket.",
    parameters=[
        query("after", WHOLE, "Only events with a higher sequence."),
        header("Last-Event-ID", "The same, as an EventSource sends it.", schema=WHOLE),
        _wait("Where there is no event yet, the answer comes as soon as there is one, or after so many seconds."),
        _limit(500),
    ],
    responses={
        (200, "application/json"): answer(ref("EventPage"), "A page, or the stream."),
        (200, "text/event-stream"): answer(TEXT, "A page, or the stream."),
        204: answer({}, "Of a stream: the operation has ended, and nothing is left to tell."),
        **problems(400),
    },
)
list_rejects = extend_schema(
    operation_id="list_rejects",
    summary="List rejects",
    parameters=[
        query("format", {"type": "string", "enum": ["csv"]}, "All of them as a CSV download."),
        _CURSOR,
        _limit(100),
    ],
    responses={
        (200, "application/json"): answer(ref("RejectPage"), "A page, or the download."),
        (200, "text/csv"): answer(TEXT, "A page, or the download."),
        **problems(400),
    },
)
list_children = extend_schema(
    operation_id="list_children",
    summary="List children",
    parameters=[_STATES, _CURSOR, _limit(50)],
    responses={200: answer(ref("ChildPage"), "A page."), **problems(400)},
)
list_artifacts = extend_schema(
    operation_id="list_artifacts",
    summary="List artifacts",
    parameters=[_CURSOR, _limit(500)],
    responses={200: answer(ref("ArtifactPage"), "A page."), **problems(400)},
)
download_artifact = extend_schema(
    operation_id="download_artifact",
    summary="Download an artifact",
    parameters=[header("Content-Disposition", "`attachment`, with the file's name.", of=[200])],
    responses={(200, "application/octet-stream"): answer({"type": "string", "format": "binary"}, "The file.")},
)
read_metrics = extend_schema(
    operation_id="read_metrics",
    summary="Read the metrics",
    description="For a monitor, and for who may see the operations of all. What accepts OpenMetrics is answered in it.",
    responses={
        (200, "text/plain"): answer(TEXT, "As Prometheus reads it."),
        **problems(403),
        (503, "application/problem+json"): answer(ref("Problem"), "The database is away."),
    },
)

VERB_SUMMARIES = {
    "cancel": "Cancel an operation and its children: best effort",
    "pause": "Pause an operation at its next checkpoint",
    "resume": "Resume a paused operation",
    "retry": "Try a failed or cancelled operation again",
}
RETRY_OPTIONS = record("", {}, {"from": {"type": "string", "enum": ["checkpoint", "start"], "default": "checkpoint"}})
FREE_INPUT = {**JSON_OBJECT, "description": "Any JSON object: the operation checks it when it runs."}
