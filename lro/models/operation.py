from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ..states import HELD, TERMINAL, State
from .querysets import OperationQuerySet


def uuid7() -> UUID:
    """A UUID whose order is its time of creation (RFC 9562, section 5.7)."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


class Operation(models.Model):
    """One requested piece of long work. Its row is the queue: a message only says "look at this row".

    `state` is written by `lro.lifecycle.transitions` alone. `fence` rises with every claim and every revocation;
    a worker's write carries the fence that it claimed with, so a worker that lost its lease changes nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    state = models.CharField(
        max_length=12, choices=[(state.value, state.value) for state in State], default=State.QUEUED
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="operations"
    )
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    root_id = models.UUIDField()
    depth = models.PositiveSmallIntegerField(default=0)

    # Of a child: which one of its parent's it is, and its share of the parent's progress.
    child_key = models.CharField(max_length=100, null=True, blank=True)
    child_index = models.PositiveIntegerField(default=0)
    weight = models.FloatField(default=1.0)
    # Of a parent: its children, and while it waits for them what their failure means.
    children_total = models.PositiveIntegerField(default=0)
    children_pending = models.PositiveIntegerField(default=0)
    children_failed = models.PositiveIntegerField(default=0)
    children_weight = models.FloatField(default=0.0)
    children_weight_done = models.FloatField(default=0.0)
    on_child_failure = models.CharField(max_length=12, blank=True, default="")

    input = models.JSONField(default=dict)
    result = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    tags = models.JSONField(default=list, blank=True)
    progress = models.JSONField(default=dict, blank=True)
    rejected = models.PositiveBigIntegerField(default=0)
    last_sequence = models.PositiveBigIntegerField(default=0)

    queue = models.CharField(max_length=50, default="default")
    run_at = models.DateTimeField(db_default=Now())
    woken_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveIntegerField(default=4)
    #: Attempts that ended badly since the last checkpoint; progress makes it zero again.
    failures = models.PositiveIntegerField(default=0)
    #: Attempts whose process was lost since the last checkpoint.
    crashes = models.PositiveIntegerField(default=0)
    fence = models.PositiveBigIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    checkpoint = models.JSONField(null=True, blank=True)
    checkpoints = models.PositiveBigIntegerField(default=0)

    #: The resource that only one operation may work on at a time; exclusive: and only one may be active.
    flight_key = models.CharField(max_length=255, null=True, blank=True)
    is_exclusive = models.BooleanField(default=False)

    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    input_digest = models.CharField(max_length=64, blank=True, default="")

    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_grace = models.DurationField(default=timedelta(seconds=10))
    #: The first claim must come before this, and the end before the other.
    claim_by = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    attempt_timeout = models.DurationField(null=True, blank=True)
    attempt_ends_at = models.DateTimeField(null=True, blank=True)
    max_stall = models.DurationField(null=True, blank=True)
    stalls_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name", "idempotency_key"], name="lro_one_per_idempotency_key"),
            models.UniqueConstraint(fields=["parent", "child_key"], name="lro_one_child_per_key"),
            models.UniqueConstraint(
                fields=["flight_key"], condition=Q(state__in=sorted(HELD)), name="lro_single_flight"
            ),
            models.UniqueConstraint(
                fields=["flight_key"],
                condition=Q(is_exclusive=True) & ~Q(state__in=sorted(TERMINAL)),
                name="lro_one_exclusive",
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-id"], name="lro_by_owner"),
            models.Index(fields=["state", "run_at"], name="lro_by_state"),
            models.Index(fields=["queue", "id"], name="lro_queued", condition=Q(state=State.QUEUED)),
            models.Index(fields=["updated_at"], name="lro_by_update"),
            models.Index(fields=["root_id"], name="lro_by_root"),
            models.Index(fields=["parent", "state"], name="lro_by_parent"),
            models.Index(fields=["flight_key", "id"], name="lro_by_flight", condition=Q(flight_key__isnull=False)),
            models.Index(fields=["expires_at"], name="lro_by_expiry", condition=Q(parent=None)),
        ]
        permissions = [
            ("start_operation", "Can start operations"),
            ("cancel_operation", "Can cancel operations of others"),
            ("pause_operation", "Can pause and resume operations of others"),
            ("retry_operation", "Can retry operations of others"),
            ("view_all_operations", "Can see the operations of others"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def is_held(self) -> bool:
        return self.state in HELD
