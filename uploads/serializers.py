from __future__ import annotations

from typing import Any

from rest_framework import serializers


class ImportInput(serializers.Serializer[Any]):
    """What `POST /uploads/import` takes: a form with the file, or the id of a finished resumable upload."""

    file = serializers.FileField(required=False, allow_empty_file=True, max_length=1000)
    upload = serializers.UUIDField(required=False, help_text="In place of `file`: a resumable upload that is finished.")
    sha256 = serializers.CharField(required=False, max_length=64, help_text="What the file should have, in hex.")
    name = serializers.CharField(required=False, max_length=255, help_text="The dataset's name; else the file's.")
    delimiter = serializers.CharField(required=False, trim_whitespace=False, max_length=10)
    encoding = serializers.CharField(required=False, max_length=40, help_text="As utf-8 or cp1252; else detected.")
    types = serializers.JSONField(required=False, help_text='Column types, as {"age": "integer"}: others are rejects.')

    def validate(self, attrs: Any) -> Any:
        if ("file" in attrs) is ("upload" in attrs):
            raise serializers.ValidationError({"file": "Send either a file or, as 'upload', the id of a finished one."})
        return attrs


class ColumnSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.CharField(help_text="Which all its cells fit: string, integer, number, boolean, date, datetime.")


class ImportResult(serializers.Serializer[Any]):
    """What `uploads.import` returns."""

    dataset = serializers.UUIDField()
    name = serializers.CharField()
    rows = serializers.IntegerField()
    rejected = serializers.IntegerField()
    reject_codes = serializers.DictField(child=serializers.IntegerField(), help_text="How many of each code.")
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="Of the file.")
    columns = ColumnSerializer(many=True)
    encoding = serializers.CharField()
    delimiter = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField())
    seconds = serializers.FloatField()


class LimitsSerializer(serializers.Serializer[Any]):
    max_bytes = serializers.IntegerField()
    formats = serializers.ListField(child=serializers.CharField())


class DatasetSerializer(serializers.Serializer[Any]):
    """A table in Parquet parts."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    rows = serializers.IntegerField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="Of the file that it was made from.")
    columns = ColumnSerializer(many=True)
    operation = serializers.UUIDField(source="operation_id")


class DatasetListSerializer(serializers.Serializer[Any]):
    results = DatasetSerializer(many=True)
