from __future__ import annotations

from typing import Any

from rest_framework import serializers

from . import requests


class MigrationInput(serializers.Serializer[Any]):
    """Run a data migration, or undo a run, or try again what a run rejected."""

    migration = serializers.CharField(max_length=200, help_text="Its name; `GET /migrations/` lists them.")
    parameters = serializers.DictField(default=dict, help_text="What the migration asks for.")
    dry_run = serializers.BooleanField(default=False, help_text="Try it: everything is done, and rolled back again.")
    steps = serializers.ListField(
        child=serializers.CharField(), default=list, help_text="Only these steps, in the order of the plan; else all."
    )
    shards = serializers.IntegerField(
        default=1, min_value=1, max_value=64, help_text="Key ranges that are worked on at the same time, as children."
    )
    max_errors = serializers.IntegerField(
        required=False, min_value=0, help_text="More failed records end the run; else the migration's own limit."
    )
    pause = serializers.FloatField(
        required=False, min_value=0, max_value=60, help_text="Seconds between two batches; else the migration's own."
    )
    reverse = serializers.UUIDField(required=False, help_text="Undo this run.")
    retry_rejects = serializers.UUIDField(required=False, help_text="Only the records that this run rejected.")
    confirm_code_change = serializers.BooleanField(
        default=False, help_text="The migration's code changed since that run, and you know it."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return requests.checked(attrs, self.context.get("owner"))


class StepReport(serializers.Serializer[Any]):
    step = serializers.CharField()
    processed = serializers.IntegerField()
    changed = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="That needed no change.")
    failed = serializers.IntegerField()
    written = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()), help_text="Rows by model: inserted, updated, …"
    )
    seconds = serializers.FloatField()
    rate = serializers.FloatField(allow_null=True, help_text="Records a second.")


class TransactionTimes(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    p50_ms = serializers.IntegerField(allow_null=True)
    p95_ms = serializers.IntegerField(allow_null=True)


class SampledRecord(serializers.Serializer[Any]):
    step = serializers.CharField()
    key = serializers.CharField()
    before = serializers.JSONField()
    after = serializers.JSONField()


class MigrationResult(serializers.Serializer[Any]):
    """What `migrations.run` returns."""

    migration = serializers.CharField()
    kind = serializers.ChoiceField(["run", "retry", "reverse"])
    dry_run = serializers.BooleanField()
    steps = StepReport(many=True)
    processed = serializers.IntegerField()
    changed = serializers.IntegerField()
    skipped = serializers.IntegerField()
    failed = serializers.IntegerField()
    transactions = TransactionTimes()
    sample = SampledRecord(many=True, required=False, help_text="Of a dry run: some records of each step.")


class PendingSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(help_text="data_migration or schema_migration.")
    name = serializers.CharField()
    remedy = serializers.CharField()


class PlannedStep(serializers.Serializer[Any]):
    name = serializers.CharField()
    about = serializers.CharField(allow_blank=True)
    after = serializers.ListField(child=serializers.CharField())
    rows = serializers.IntegerField(allow_null=True, help_text="Estimated; null where the parameters are needed.")
    reversible = serializers.BooleanField()
    can_shard = serializers.BooleanField()


class PastRun(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="Of its operation.")
    kind = serializers.CharField()
    state = serializers.CharField()
    of = serializers.UUIDField(allow_null=True, help_text="The run that it reverses or retries.")
    owner = serializers.CharField(allow_null=True)
    steps = serializers.ListField(child=serializers.CharField())
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    confirmed_by = serializers.CharField(allow_null=True, help_text="Who let it go on with changed code.")
    result = serializers.JSONField(allow_null=True)


class MigrationSummary(serializers.Serializer[Any]):
    name = serializers.CharField()
    about = serializers.CharField(allow_blank=True)
    state = serializers.CharField(help_text="never_run, running, completed, partial, reversed, failed or cancelled.")
    operation = serializers.UUIDField(allow_null=True, help_text="The one that is under way.")
    last_run_at = serializers.DateTimeField(allow_null=True)


class MigrationList(serializers.Serializer[Any]):
    results = MigrationSummary(many=True)


class ParameterSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    about = serializers.CharField(allow_blank=True)


class PlanSerializer(MigrationSummary):
    """What a run would do, before it does it."""

    steps = PlannedStep(many=True)
    parameters = ParameterSerializer(many=True)
    reversible = serializers.BooleanField()
    keeps_old_values = serializers.BooleanField()
    max_errors = serializers.IntegerField()
    pending = PendingSerializer(many=True)
    history = PastRun(many=True)
