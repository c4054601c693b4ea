"""A dataset is deleted only while nobody reads it."""

from __future__ import annotations

import shutil
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction

from lro import Operation, Problem, datasets

from .models import Dataset

_NAMED = 20


def delete(dataset: Dataset, user: Any) -> None:
    """Files first, the row last: what a kill leaves is a dataset that is not ready, to be deleted again.

    Raises PermissionDenied, and Problem 409 with the operations that stand against it.
    """
    if dataset.owner_id != user.pk and not user.has_perm("uploads.delete_dataset"):
        raise PermissionDenied
    with transaction.atomic():
        locked = Dataset.objects.select_for_update().filter(pk=dataset.pk)
        if locked.first() is None:
            return
        _refuse_where_used(dataset)
        locked.update(ready_at=None)  # from now on no operation takes it
    if dataset.folder.exists():
        shutil.rmtree(dataset.folder)
    dataset.delete()


def _refuse_where_used(dataset: Dataset) -> None:
    maker = Operation.objects.active().filter(pk=dataset.operation_id)
    used = [*maker, *datasets.readers(dataset.pk).order_by("id")]
    if not used:
        return
    first = used[0]
    message = f"{dataset.name} is used by {first.name} {first.pk}"
    message += f" and {len(used) - 1} more." if len(used) > 1 else "; wait for its end, or cancel it."
    places = [{"operation": str(row.pk), "name": row.name, "state": row.state} for row in used[:_NAMED]]
    raise Problem(409, "dataset_in_use", message, places)
