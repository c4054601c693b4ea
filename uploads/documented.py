"""What the OpenAPI document says of resumable upload; each name here decorates one method in `resumable_views`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from . import tus

_BYTES = {tus.MEDIA_TYPE: OpenApiTypes.BINARY}
_PROBLEMS = {
    400: "A header is missing or malformed; its name is in `errors`.",
    404: "There is no such upload, or it is another's.",
    409: "The upload has another offset: ask for it by `HEAD`.",
    410: "The upload was not finished in time.",
    412: "Another version of tus, or none, was named.",
    413: "More bytes than the file has, or than any may have.",
    415: f"The body must be {tus.MEDIA_TYPE}; or the file is none that can be imported.",
    422: "The file does not have the `sha256` of the metadata, or cannot be imported.",
    423: "Another request is sending bytes of the same file.",
    429: "The caller has too many unfinished uploads.",
    460: "The bytes do not have the checksum that was told; none of them counts.",
    507: "The disk is full.",
}


def _problems(*statuses: int) -> dict[Any, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        (status, "application/problem+json"): OpenApiResponse(schema, description=_PROBLEMS[status])
        for status in statuses
    }


def _sent(name: str, description: str = "", kind: Any = str, **options: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, **options)


_VERSION = _sent("Tus-Resumable", required=True, enum=[tus.VERSION])
_CHECKSUM = _sent("Upload-Checksum", "Of the body: an algorithm and the digest in base64.")

create = extend_schema(
    operation_id="create_resumable_upload",
    summary="Begin a resumable upload",
    description="By tus 1.0 (https://tus.io), with the extensions that `OPTIONS` names. The body may already be "
    "bytes of the file. Metadata: `filename`, `sha256`, and `import` with fields of `POST /uploads/import`.",
    request=_BYTES,
    parameters=[
        _VERSION,
        _CHECKSUM,
        _sent("Upload-Length", "Of the file, in bytes.", int),
        _sent("Upload-Defer-Length", "Where the length is not known yet.", int, enum=[1]),
        _sent("Upload-Metadata", "Pairs of key and base64, with commas."),
        _sent("Location", "Where to send the bytes.", response=[201]),
        _sent("Upload-Offset", "Where the next bytes begin.", int, response=[201]),
        _sent("Upload-Expires", "A date, which each byte moves on.", response=[201]),
    ],
    responses={201: None, **_problems(400, 412, 413, 415, 422, 429, 460, 507)},
)
append = extend_schema(
    operation_id="append_to_resumable_upload",
    summary="Send the next bytes of a file",
    description="`HEAD` on the same address tells the offset to go on from. What came before a cut is kept.",
    request=_BYTES,
    parameters=[
        _VERSION,
        _CHECKSUM,
        _sent("Upload-Offset", "Where the bytes begin.", int, required=True),
        _sent("Upload-Length", "Where it was deferred.", int),
        _sent("Upload-Offset", "Where the next bytes begin.", int, response=[204]),
        _sent("Upload-Expires", "A date, which each byte moves on.", response=[204]),
        _sent("Operation-Id", "The import that has begun.", response=[204]),
        _sent("Operation-Location", "Its address.", response=[204]),
    ],
    responses={204: None, **_problems(400, 404, 409, 410, 412, 413, 415, 422, 423, 460, 507)},
)
give_up = extend_schema(
    operation_id="delete_resumable_upload",
    summary="Give a resumable upload up",
    description="Its bytes are deleted. An import that was made of it keeps its own.",
    request=None,
    parameters=[_VERSION],
    responses={204: None, **_problems(404, 410, 412)},
)
override = extend_schema(exclude=True)
