from __future__ import annotations

from django.db import models


class Duty(models.Model):
    """How often one duty of the reconcilers, of all of them together, had something to do, and how long that took.

    Counted here and not in a process: they are many, they come and go, and what they did is asked for elsewhere.
    """

    name = models.CharField(max_length=50, primary_key=True)
    done = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    last_done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "duties"

    def __str__(self) -> str:
        return f"{self.name} {self.done}"
