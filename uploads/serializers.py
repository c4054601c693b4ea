from __future__ import annotations

from typing import Any

from rest_framework import serializers

from lro.datasets import DatasetField

from .publishing import IF_EXISTS, NAME
from .reject_limits import ON_LIMIT


class JsonField(serializers.JSONField):
    """JSON, or its text in a form: however deep that is, it is no more than wrong."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except RecursionError:
            self.fail("invalid")


class ImportInput(serializers.Serializer[Any]):
    """What `POST /uploads/import` takes: a form with the file, or the id of a finished resumable upload."""

    file = serializers.FileField(
        required=False,
        allow_empty_file=True,
        max_length=1000,
        help_text="CSV, TSV, JSON Lines (also gzip or zstd), XLSX or Parquet.",
    )
    upload = serializers.UUIDField(required=False, help_text="In place of `file`: a resumable upload that is finished.")
    sha256 = serializers.CharField(required=False, max_length=64, help_text="What the file should have, in hex.")
    name = serializers.CharField(required=False, max_length=255, help_text="The dataset's name; else the file's.")
    delimiter = serializers.CharField(
        required=False, trim_whitespace=False, max_length=10, help_text="Of CSV and the like; else detected."
    )
    encoding = serializers.CharField(
        required=False, max_length=40, help_text="Of CSV and the like, as utf-8 or cp1252; else detected."
    )
    header = serializers.BooleanField(
        required=False, allow_null=True, help_text="Of CSV and the like: false where the first row is data, not names."
    )
    sheet = serializers.CharField(
        required=False, max_length=255, trim_whitespace=False, help_text="Of an XLSX file; else the first visible one."
    )
    types = JsonField(required=False, help_text='Column types, as {"age": "integer"}: others are rejects.')
    schema = JsonField(required=False, help_text="A Table Schema instead: types, formats and constraints.")
    max_rejects = serializers.CharField(
        required=False,
        max_length=20,
        help_text='How many bad rows may be: a count, or a share as "0.05" or "5%".',
    )
    on_limit = serializers.ChoiceField(
        ON_LIMIT, required=False, help_text="Beyond max_rejects: fail (the default), or count on without recording."
    )
    parallel = serializers.IntegerField(
        required=False, min_value=1, max_value=64, help_text="In how many parts it is read at once; else by its size."
    )

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
    recorded = serializers.IntegerField(help_text="How many of the rejects are kept with their lines.")
    reject_codes = serializers.DictField(child=serializers.IntegerField(), help_text="How many of each code.")
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="Of the file.")
    columns = ColumnSerializer(many=True)
    format = serializers.CharField(help_text="csv, tsv, jsonl, xlsx or parquet.")
    compression = serializers.CharField(allow_blank=True, help_text="gzip, zstd or nothing.")
    sheet = serializers.CharField(allow_blank=True, help_text="Of an XLSX file.")
    encoding = serializers.CharField()
    delimiter = serializers.CharField(allow_blank=True, help_text="Of CSV and the like.")
    warnings = serializers.ListField(child=serializers.CharField())
    seconds = serializers.FloatField()


class LimitsSerializer(serializers.Serializer[Any]):
    max_bytes = serializers.IntegerField()
    max_unpacked_bytes = serializers.IntegerField(help_text="What a compressed file may unpack to.")
    formats = serializers.ListField(child=serializers.CharField(), help_text="The endings of names, as csv.gz.")


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


class RowsSerializer(serializers.Serializer[Any]):
    """The first rows of a dataset, each by the names of its columns, in their types."""

    columns = ColumnSerializer(many=True)
    rows = serializers.ListField(child=serializers.DictField())


class PublishInput(serializers.Serializer[Any]):
    dataset = DatasetField()
    table = serializers.RegexField(
        f"^{NAME.pattern}$",
        help_text="Small letters, digits and underscores, at most 48.",
    )
    if_exists = serializers.ChoiceField(IF_EXISTS, default="fail", help_text="What happens to a table of that name.")


class PublishResult(serializers.Serializer[Any]):
    table = serializers.CharField(help_text="With its schema.")
    rows = serializers.IntegerField(help_text="How many were copied.")
    columns = ColumnSerializer(many=True)
