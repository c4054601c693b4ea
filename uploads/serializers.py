from __future__ import annotations

from typing import Any

from rest_framework import serializers


class ImportInput(serializers.Serializer[Any]):
    """The multipart form of `POST /uploads/import`."""

    file = serializers.FileField(allow_empty_file=True, max_length=1000)
    name = serializers.CharField(required=False, max_length=255, help_text="The dataset's name; else the file's.")
    delimiter = serializers.CharField(required=False, trim_whitespace=False, max_length=10)
    encoding = serializers.CharField(required=False, max_length=40, help_text="As utf-8 or cp1252; else detected.")
    types = serializers.JSONField(required=False, help_text='Column types, as {"age": "integer"}: others are rejects.')
