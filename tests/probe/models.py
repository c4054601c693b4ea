"""Rows that the item operations of the tests work on, and the marks that they leave."""

from __future__ import annotations

import uuid

from django.db import models


class Thing(models.Model):
    text = models.CharField(max_length=100, default="")
    touched = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"thing {self.pk}"


class Named(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    touched = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"named {self.pk}"


class Mark(models.Model):
    """One effect of one item; nothing but the runtime keeps it from being there twice."""

    item = models.CharField(max_length=100)
    thing = models.ForeignKey(Thing, null=True, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return self.item
