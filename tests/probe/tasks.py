"""A plain Celery task, as one would write it without `lro`, with the settings that are said to make it reliable."""

from __future__ import annotations

import time

from celery import shared_task

from .models import Mark


@shared_task(name="bare.saves", acks_late=True, reject_on_worker_lost=True, max_retries=60)
def saves(task: str, to: int, seconds_each: float) -> None:
    """Leaves a mark for each item: the task is lost where some are missing, and has run twice where some are double."""
    for index in range(to):
        time.sleep(seconds_each)
        Mark.objects.create(item=f"{task} {index}")
