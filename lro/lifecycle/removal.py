"""The one way in which operations are deleted: their rows go first, and what is left to do stays as resources.

A kill at any instant loses nothing: either nothing has happened, or each file and each class's `forget` has a row that
is due until it is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from django.db import transaction

from ..models import Artifact, Operation, Resource
from ..models.resource import Kind

#: What a class's `forget` is told of the operation.
_REMEMBERED = ("name", "state", "owner_id", "input", "result")


def remove(operation_ids: Iterable[UUID]) -> list[Resource] | None:
    """Delete ended operations with all their descendants, and return what is left to be released.

    None, and nothing is deleted, where one of them is at work.
    """
    top = list(operation_ids)
    with transaction.atomic():
        family = members(top)
        rows = Operation.objects.filter(pk__in=family)
        if rows.active().exists():
            return None
        # Children before parents, as every ending locks them. Once all are locked and ended, none can join them.
        locked = list(rows.order_by("-depth", "pk").select_for_update().only(*_REMEMBERED))
        if not all(row.is_terminal for row in locked) or members(top) != {row.pk for row in locked}:
            return None
        left = [*_files(family), *(_farewell(row) for row in locked)]
        Resource.objects.bulk_create(left, batch_size=500)
        rows.delete()
        return left


def discard_file(name: str) -> Resource:
    """A file that no row names any more, once this transaction is committed."""
    return Resource(kind=Kind.FILE, data={"name": name})


def members(top: list[UUID]) -> set[UUID]:
    """These operations and all their descendants."""
    family, generation = set[UUID](), Operation.objects.filter(pk__in=top)
    while members := set(generation.values_list("pk", flat=True)):
        family |= members
        generation = Operation.objects.filter(parent_id__in=members)
    return family


def _files(family: set[UUID]) -> Iterator[Resource]:
    for name in Artifact.objects.filter(operation_id__in=family).values_list("file", flat=True):
        yield discard_file(name)


def _farewell(operation: Operation) -> Resource:
    data = {name: getattr(operation, name) for name in _REMEMBERED}
    return Resource(kind=Kind.FORGET, data={"id": str(operation.pk), **data})
