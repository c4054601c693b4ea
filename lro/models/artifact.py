from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from .operation import uuid7


class Artifact(models.Model):
    """A file that an operation produced. The row is written after the file is whole, so it never names half a file."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operation = models.ForeignKey("lro.Operation", on_delete=models.CASCADE, related_name="artifacts")
    name = models.CharField(max_length=255)
    file = models.FileField(max_length=255)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=100, default="application/octet-stream")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["operation", "name"], name="lro_one_artifact_per_name")]

    def __str__(self) -> str:
        return self.name
