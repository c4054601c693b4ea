from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Event(models.Model):
    """An immutable fact about one operation; `sequence` counts 1, 2, 3, … within it, without a gap."""

    operation = models.ForeignKey("lro.Operation", on_delete=models.CASCADE, related_name="events")
    root_id = models.UUIDField()
    sequence = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=60)
    attempt = models.PositiveIntegerField(default=0)
    time = models.DateTimeField(db_default=Now())
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["sequence"]
        constraints = [models.UniqueConstraint(fields=["operation", "sequence"], name="lro_one_event_per_sequence")]

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}"
