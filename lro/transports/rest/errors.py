"""Every error of the REST face as one `application/problem+json` object (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from ... import exceptions as lro

_STATUS = {
    lro.UnknownOperation: 404,
    lro.NotAllowedNow: 409,
    lro.AlreadyActive: 409,
    lro.QuotaExceeded: 429,
    lro.Overloaded: 503,
    lro.IdempotencyMismatch: 422,
    lro.InvalidValue: 400,
}


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler for the whole project."""
    path = context["request"].path if context.get("request") else ""
    if isinstance(error, lro.Problem):
        return _answer(error.status, error.code, error.message, error.errors, path)
    if isinstance(error, lro.LroError):
        answer = _answer(_STATUS.get(type(error), 400), error.code, error.message, [], path)
        if isinstance(error, lro.Refused):
            answer["Retry-After"] = str(error.retry_after)
        return answer
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        answer = _answer(400, "invalid", "The input is not valid.", _places(error.get_full_details()), path)
    else:
        code, detail = _plain(error)
        answer = _answer(response.status_code, code, detail, [], path)
    for header in ("WWW-Authenticate", "Retry-After", "Allow"):
        if header in response.headers:
            answer[header] = response.headers[header]
    return answer


def as_response(problem: lro.Problem, request: HttpRequest) -> JsonResponse:
    """The same object where no view of DRF is at hand."""
    body = _body(problem.status, problem.code, problem.message, problem.errors, request.path)
    return JsonResponse(body, status=problem.status, content_type="application/problem+json")


def _plain(error: Exception) -> tuple[str, str]:
    if isinstance(error, Http404):
        return "not_found", "There is nothing here that you may see."
    if isinstance(error, PermissionDenied):
        return "permission_denied", "You may not do this."
    if isinstance(error, exceptions.APIException):
        detail = error.detail
        if isinstance(detail, dict):  # simplejwt's errors carry a code of their own
            return str(detail.get("code", error.default_code)), str(detail.get("detail", error.default_detail))
        return str(getattr(detail, "code", error.default_code)), str(detail)
    return "error", str(error)


def _places(details: Any, pointer: str = "") -> list[dict[str, str]]:
    """Each message with the JSON pointer of the value that it is about."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [{"pointer": pointer or "/", "message": str(details["message"]), "code": str(details["code"])}]
    if isinstance(details, dict):
        own = {"non_field_errors": pointer}
        return [p for key, value in details.items() for p in _places(value, own.get(key, f"{pointer}/{key}"))]
    return [place for value in details for place in _places(value, pointer)]


def _answer(status: int, code: str, detail: str, errors: list[dict[str, Any]], path: str) -> Response:
    body = _body(status, code, detail, errors, path)
    return Response(body, status=status, content_type="application/problem+json")


def _body(status: int, code: str, detail: str, errors: list[dict[str, Any]], path: str) -> dict[str, Any]:
    return {
        "type": f"urn:lro:problem:{code}",
        "title": _title(status, code),
        "status": status,
        "detail": detail,
        "instance": path,
        "code": code,
        "errors": errors,
    }


def _title(status: int, code: str) -> str:
    """A protocol may have a status that HTTP does not know, as 460 of tus."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return code.replace("_", " ").capitalize()
