from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from ..states import HELD
from .operation import Operation, uuid7


class Kind(StrEnum):
    TEMPFILE = "tempfile"  # a file or folder among the temporary ones
    FILE = "file"  # a stored file that no artifact names, not yet or no more
    CLEANUP = "cleanup"  # a function that the author deferred
    FORGET = "forget"  # what the class still does for an operation that was deleted


#: Nobody releases it at this moment, and the pause after a failed release is over.
FREE = Q(next_try_at=None) | Q(next_try_at__lt=Now())


class ResourceQuerySet(models.QuerySet[Any]):
    def over(self) -> Self:
        """What no attempt needs any more: its own has ended, or it belongs to none. What is over stays over."""
        own_attempt = Operation.objects.filter(pk=OuterRef("operation_id"), fence=OuterRef("fence"), state__in=HELD)
        return self.filter(Q(fence=None) | ~Exists(own_attempt))


class Resource(models.Model):
    """Something that must not be left behind. The row is there before the thing is, and until after it is gone.

    It belongs to one attempt, by its fence; without a fence to none, and then it is to be released at once. Who
    releases it counts `tries` up by a compare-and-set, and so owns it until `next_try_at`; `worker` is the process that
    held the attempt, and then the one that releases.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operation = models.ForeignKey("lro.Operation", null=True, on_delete=models.SET_NULL, related_name="resources")
    fence = models.PositiveBigIntegerField(null=True)
    worker = models.CharField(max_length=200, blank=True, default="")
    kind = models.CharField(max_length=20)
    data = models.JSONField(default=dict)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[Any] = ResourceQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.data.get('name', self.id)}"
