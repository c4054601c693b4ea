"""The resources of the contract as JSON Schema, written once: the OpenAPI and the AsyncAPI document both hold these.

Only keywords that draft 7 and 2020-12 read alike, as AsyncAPI speaks the one and OpenAPI 3.1 the other.
"""

from __future__ import annotations

from typing import Any

from ..runtime.control import VERBS
from ..states import State

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
ID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
ADDRESS: Schema = {"type": "string", "format": "uri-reference"}
JSON_OBJECT: Schema = {"type": "object", "additionalProperties": True}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def maybe(schema: Schema) -> Schema:
    """`schema`, or null."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def said(schema: Schema, description: str) -> Schema:
    """`schema` with a description; a reference may have no neighbours in draft 7."""
    return (
        {"allOf": [schema], "description": description} if "$ref" in schema else {**schema, "description": description}
    )


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def record(description: str, fields: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object in which every one of `fields` is always there."""
    described = {"description": description} if description else {}
    return {"type": "object", **described, "required": list(fields), "properties": {**fields, **(optional or {})}}


def enumeration(description: str, values: Any) -> Schema:
    return {"type": "string", "description": description, "enum": [str(value) for value in values]}


_PROGRESS = record(
    "How far the attempt is.",
    {
        "current": said(WHOLE, "Units that are done."),
        "total": said(maybe(WHOLE), "Null while it is not known."),
        "unit": said(TEXT, "What is counted, as `rows`."),
        "percent": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 100,
            "description": "Null while the total is not known; never goes backwards in an attempt.",
        },
        "step": TEXT,
        "message": TEXT,
        "rejected": WHOLE,
        "rate": said(maybe(NUMBER), "Units per second."),
        "eta_seconds": maybe(NUMBER),
        "updated_at": maybe(TIME),
    },
)

_ERROR = record(
    "Why it did not succeed.",
    {
        "code": TEXT,
        "message": TEXT,
        "details": list_of(JSON_OBJECT),
        "retryable": said(FLAG, "Whether another attempt may help."),
        "attempt": WHOLE,
        "kind": ref("ErrorKind"),
    },
)

_CHILDREN = record("How many parts there are.", {"total": WHOLE, "done": WHOLE, "failed": WHOLE})

_LINKS = record(
    "Only what this caller may do now.",
    {name: ADDRESS for name in ("self", "events", "artifacts", "rejects", "children")},
    {name: ADDRESS for name in (*VERBS, "delete")},
)

_OPERATION = record(
    "One requested piece of long work. Once `done`, exactly one of `result` and `error` is set.",
    {
        "id": said(ID, "A UUIDv7."),
        "name": said(TEXT, "As `module.operation`; it is started by `POST /module/operation`."),
        "state": ref("State"),
        "done": said(FLAG, "Whether the state is a terminal one."),
        "progress": ref("Progress"),
        "result": {"description": "Any JSON value; what is large is an artifact."},
        "error": maybe(ref("Error")),
        "rejected": said(WHOLE, "Items that were set aside."),
        "attempt": said(WHOLE, "Counted from 1; 0 before the first one."),
        "max_attempts": WHOLE,
        "next_attempt_at": maybe(TIME),
        "parent_id": maybe(ID),
        "root_id": said(ID, "Its own id where it has no parent."),
        "children": ref("Children"),
        "owner": said(maybe(TEXT), "A user name."),
        "input": said(JSON_OBJECT, "As `run` is given it; what of it is secret is `•••`."),
        "tags": list_of(TEXT),
        "created_at": TIME,
        "started_at": maybe(TIME),
        "updated_at": TIME,
        "finished_at": maybe(TIME),
        "expires_at": said(maybe(TIME), "When it may be deleted."),
        "sequence": said(WHOLE, "That of its last event."),
        "links": ref("Links"),
    },
)

_EVENT = record(
    "An immutable fact about one operation. The first is 1, none is missing, and nothing follows the terminal one.",
    {
        "operation": ID,
        "root": ID,
        "sequence": {"type": "integer", "minimum": 1},
        "kind": said(
            TEXT,
            "`created started progress step log partial reject child.created child.finished retry.scheduled "
            "interrupted paused resumed cancel.requested artifact succeeded failed cancelled expired`, or a "
            "module's own, as `uploads.detected`.",
        ),
        "attempt": WHOLE,
        "time": TIME,
        "data": said(JSON_OBJECT, "What the kind says; at most 64 KB."),
    },
)

_REJECT = record(
    "One input item that could not be processed.",
    {
        "position": said(WHOLE, "A line of a file, or the index of an item."),
        "offset": said(maybe(WHOLE), "Bytes from the start of the file."),
        "column": TEXT,
        "code": TEXT,
        "message": TEXT,
        "raw": said(TEXT, "The item as it came, cut at 1 KB."),
    },
)

_ARTIFACT = record(
    "A file that an operation produced.",
    {
        "id": ID,
        "name": TEXT,
        "size": said(WHOLE, "Bytes."),
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "content_type": TEXT,
        "created_at": TIME,
        "links": record("", {"download": ADDRESS}),
    },
)

RESOURCES: dict[str, Schema] = {
    "Operation": _OPERATION,
    "State": enumeration("The last four are terminal.", State),
    "Progress": _PROGRESS,
    "Error": _ERROR,
    "ErrorKind": enumeration("Whose fault it is.", ("user", "infrastructure", "timeout", "lost")),
    "Children": _CHILDREN,
    "Links": _LINKS,
    "Event": _EVENT,
    "Reject": _REJECT,
    "Artifact": _ARTIFACT,
}
