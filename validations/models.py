"""Rule sets with their versions, what was found by them, and the rows that broke a rule."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models.functions import Now


class RuleSetQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> RuleSetQuerySet:
        if user.has_perm("lro.view_all_operations"):
            return self
        return self.filter(owner=user)


class RuleSet(models.Model):
    """Rules under a name. Each change makes a new version; what a run used stays as it was."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="rule_sets")
    name = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)  # the newest
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[Any] = RuleSetQuerySet.as_manager()

    class Meta:
        ordering = ["-updated_at", "id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="validations_one_rule_set_per_name")]

    def __str__(self) -> str:
        return self.name


class RuleSetVersion(models.Model):
    """The rules as they were from one change to the next; never changed."""

    rule_set = models.ForeignKey(RuleSet, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    rules = models.JSONField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["rule_set", "version"], name="validations_one_of_each_version")]

    def __str__(self) -> str:
        return f"{self.rule_set} {self.version}"


class Run(models.Model):
    """What came of one run of a rule set, for the next one to be compared with; it outlives its operation."""

    operation_id = models.UUIDField(unique=True)
    rule_set = models.ForeignKey(RuleSet, on_delete=models.CASCADE, related_name="runs")
    version = models.PositiveIntegerField()
    dataset_name = models.CharField(max_length=255)
    verdict = models.CharField(max_length=10)
    outcomes = models.JSONField()  # by the rule's id: status, failed, share
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["rule_set", "dataset_name", "-operation_id"], name="validations_run_before")]

    def __str__(self) -> str:
        return f"{self.rule_set} on {self.dataset_name}: {self.verdict}"


class Violation(models.Model):
    """A row that breaks a rule: the first ones of each rule, in the order of the rows."""

    operation_id = models.UUIDField()
    rule = models.CharField(max_length=60)
    row = models.PositiveBigIntegerField()
    column = models.CharField(max_length=255)
    value = models.CharField(max_length=200)

    class Meta:
        indexes = [models.Index(fields=["operation_id", "rule", "row"], name="validations_of_a_rule")]

    def __str__(self) -> str:
        return f"{self.rule}: row {self.row}"


def owner_of(identifier: Any) -> Any:
    """The user of this id, or None where there is none any more."""
    return get_user_model().objects.filter(pk=identifier).first()
