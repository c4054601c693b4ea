"""The AsyncAPI document over HTTP."""

from __future__ import annotations

from typing import Any

import yaml
from drf_spectacular.settings import spectacular_settings
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .. import asyncapi


class YAMLRenderer(BaseRenderer):
    media_type = "application/yaml"
    format = "yaml"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120, encoding="utf-8")


class _Plain(yaml.SafeDumper):
    """Writes what is there twice twice, as few readers of YAML care for anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class RealtimeSchemaView(APIView):
    """YAML, or JSON where `Accept` or `?format=json` asks for it."""

    schema = None
    renderer_classes = [YAMLRenderer, JSONRenderer]
    authentication_classes = ()
    permission_classes = spectacular_settings.SERVE_PERMISSIONS

    def get(self, request: Request) -> Response:
        return Response(asyncapi.document(request.get_host(), is_secure=request.is_secure()))
