from __future__ import annotations

from django.db import models


class Reject(models.Model):
    """One input item that could not be processed: where it stands, a code, a message."""

    operation = models.ForeignKey("lro.Operation", on_delete=models.CASCADE, related_name="rejects")
    position = models.PositiveBigIntegerField()  # a line of a file, the index of an item
    offset = models.PositiveBigIntegerField(null=True, blank=True)  # bytes from the start of the file
    column = models.CharField(max_length=255, blank=True, default="")
    code = models.CharField(max_length=60)
    message = models.TextField()
    raw = models.TextField(blank=True, default="")  # the item as it came, cut at 1 KB

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["operation", "position"], name="lro_one_reject_per_item")]

    def __str__(self) -> str:
        return self.message
