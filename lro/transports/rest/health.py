"""Liveness: this process answers. Readiness: what it needs answers too."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from ...runtime import diagnosis


def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:
    findings = diagnosis.examine()
    is_ready = all(finding.is_good for finding in findings)
    checks = {finding.name: "ok" if finding.is_good else finding.problem for finding in findings}
    return JsonResponse(
        {"status": "ready" if is_ready else "unready", "checks": checks}, status=200 if is_ready else 503
    )
