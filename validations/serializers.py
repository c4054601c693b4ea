from __future__ import annotations

from typing import Any

from rest_framework import serializers

from lro import datasets

_RULES = 'A list of rules, as [{"rule": "required", "column": "name"}]; see the table of rules.'


class ValidationInput(serializers.Serializer[Any]):
    """The input of `validations.run`: a dataset, and rules in one of three forms."""

    dataset = datasets.DatasetField()
    rules = serializers.JSONField(required=False, help_text=_RULES)
    rules_yaml = serializers.CharField(required=False, help_text="The same as YAML text.", trim_whitespace=False)
    rule_set = serializers.UUIDField(required=False, help_text="The id of stored rules.")
    version = serializers.IntegerField(required=False, min_value=1, help_text="Of the rule set; else the newest.")
    fail_on = serializers.ChoiceField(
        choices=["never", "error", "warning"],
        default="never",
        help_text="Which broken rules make the operation fail with `validation_failed`, for a machine to gate on.",
    )
    max_violations = serializers.IntegerField(
        default=100, min_value=0, max_value=1000, help_text="Of each rule are kept; all are counted."
    )
    as_of = serializers.DateTimeField(
        required=False, help_text="What `now` is in the rules; else the time of the call."
    )
    rows_per_child = serializers.IntegerField(
        default=2_000_000, min_value=1, help_text="A longer table is shared out among children of about so many rows."
    )


class ProfileInput(serializers.Serializer[Any]):
    """The input of `validations.profile`."""

    dataset = datasets.DatasetField()
    save_as = serializers.CharField(
        required=False, max_length=200, help_text="Store the proposed rules as a rule set of this name."
    )


class OutcomeSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    rule = serializers.CharField(help_text="The kind of rule.")
    name = serializers.CharField()
    columns = serializers.ListField(child=serializers.CharField())
    severity = serializers.ChoiceField(choices=["error", "warning"])
    threshold = serializers.FloatField(help_text="A count, or a share below 1.")
    status = serializers.ChoiceField(choices=["passed", "failed", "errored"])
    failed = serializers.IntegerField(help_text="Rows that break the rule, all of them.")
    share = serializers.FloatField(help_text="Of all rows.")
    observed = serializers.JSONField(allow_null=True, help_text="What a rule about the whole column found.")
    message = serializers.CharField(allow_blank=True, help_text="Why the rule could not be run.")
    change = serializers.ChoiceField(
        choices=["new", "fixed", "worse", "better", "same"], required=False, help_text="Since the run before."
    )


class BeforeSerializer(serializers.Serializer[Any]):
    operation = serializers.UUIDField()
    version = serializers.IntegerField()
    verdict = serializers.CharField()


class ValidationResult(serializers.Serializer[Any]):
    """What `validations.run` returns."""

    verdict = serializers.ChoiceField(choices=["passed", "warning", "failed"])
    dataset = serializers.UUIDField()
    dataset_name = serializers.CharField()
    rows = serializers.IntegerField()
    as_of = serializers.DateTimeField()
    rule_set = serializers.UUIDField(allow_null=True)
    version = serializers.IntegerField(allow_null=True)
    passed = serializers.IntegerField(help_text="How many rules.")
    failed = serializers.IntegerField()
    errored = serializers.IntegerField()
    outcomes = OutcomeSerializer(many=True)
    before = BeforeSerializer(allow_null=True, help_text="The run that `change` compares with.")
    reports = serializers.ListField(child=serializers.CharField(), help_text="Names of artifacts.")


class ColumnProfileSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.CharField()
    nulls = serializers.IntegerField()
    unique = serializers.BooleanField(help_text="No value is there twice.")
    minimum = serializers.JSONField(allow_null=True, help_text="Of texts, their shortest length.")
    maximum = serializers.JSONField(allow_null=True)
    values = serializers.ListField(allow_null=True, help_text="All of them, where they are few.")
    pattern = serializers.CharField(allow_null=True, help_text="The name of a shape that all values have.")


class ProfileResult(serializers.Serializer[Any]):
    """What `validations.profile` returns."""

    dataset = serializers.UUIDField()
    rows = serializers.IntegerField()
    columns = ColumnProfileSerializer(many=True)
    rules = serializers.ListField(child=serializers.DictField(), help_text="All of which the dataset passes.")
    rule_set = serializers.UUIDField(allow_null=True)


class RuleSetInput(serializers.Serializer[Any]):
    """A rule set as it is sent: the rules as a list, or as YAML text."""

    name = serializers.CharField(max_length=200)
    rules = serializers.JSONField(required=False, help_text=_RULES)
    rules_yaml = serializers.CharField(required=False, trim_whitespace=False)


class RuleSetSerializer(serializers.Serializer[Any]):
    """A rule set at one version."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    rules = serializers.ListField(child=serializers.DictField())
    created_at = serializers.DateTimeField(help_text="Of this version.")


class RuleSetRowSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField(help_text="The newest.")
    updated_at = serializers.DateTimeField()


class RuleSetListSerializer(serializers.Serializer[Any]):
    results = RuleSetRowSerializer(many=True)


class VersionRowSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    author = serializers.CharField(allow_null=True, source="author.username", default=None)


class VersionListSerializer(serializers.Serializer[Any]):
    results = VersionRowSerializer(many=True)
