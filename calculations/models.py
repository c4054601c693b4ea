"""What a person asked of a calculation that runs."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from lro import Operation


class EarlyEnd(models.Model):
    """The wish that a calculation ends with the answer that it has by now."""

    operation = models.OneToOneField(Operation, on_delete=models.CASCADE, primary_key=True, related_name="+")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    requested_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[models.Manager[EarlyEnd]] = models.Manager()

    def __str__(self) -> str:
        return f"an early end of {self.operation_id}"

    @classmethod
    def is_wanted(cls, operation_id: UUID | str) -> bool:
        """Not where it is older than the last retry by hand, which wants the whole answer."""
        wish = cls.objects.filter(operation_id=operation_id).select_related("operation").first()
        if wish is None:
            return False
        retries = wish.operation.events.filter(kind="retry.scheduled", data__has_key="by")
        return not retries.filter(time__gt=wish.requested_at).exists()
