from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Attempt(models.Model):
    """One try of an operation, by one worker, under one fence."""

    operation = models.ForeignKey("lro.Operation", on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    fence = models.PositiveBigIntegerField()
    worker = models.CharField(max_length=200)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True, default="")
    error = models.JSONField(null=True, blank=True)
    traceback = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["fence"]
        constraints = [models.UniqueConstraint(fields=["operation", "fence"], name="lro_one_attempt_per_fence")]
        indexes = [models.Index(fields=["worker", "-id"], name="lro_by_worker")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.operation_id}"
