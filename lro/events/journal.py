"""Append facts to an operation's history, in the transaction that changes its row.

The row's counter is the sequence: one UPDATE takes the row's lock and the numbers, so commit order is sequence order
and there is never a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from ..conf import conf
from ..models import Event, Operation
from ..storable import storable
from . import publisher

Entry = tuple[str, dict[str, Any]]

#: What an appended event must carry along: small columns, so that a large input is not read again for each event.
_DEFERRED = ("input", "result", "checkpoint", "input_digest")
_CHUNK = 1000


def append(operation_id: UUID, entries: Sequence[Entry], *, where: Q | None = None, **changes: Any) -> Operation | None:
    """Apply `changes` to the operation where `where` holds, and append `entries` (kind, data) to its events.

    Returns the operation as it is now, or None (and nothing is written) where the condition does not hold.
    """
    entries = [
        (kind, storable(data, what=f"event '{kind}'", max_bytes=conf().event_max_bytes)) for kind, data in entries
    ]
    with transaction.atomic():
        rows = Operation.objects.filter(where or Q(), pk=operation_id)
        if not rows.update(last_sequence=F("last_sequence") + len(entries), updated_at=Now(), **changes):
            return None
        operation: Operation = Operation.objects.defer(*_DEFERRED).get(pk=operation_id)
        _insert(operation, entries)
        return operation


def append_all(operation_ids: Sequence[UUID], entry: Entry, *, where: Q, **changes: Any) -> list[Operation]:
    """As `append`, the same to many, whose rows this transaction has locked; those that it was done to."""
    kind, data = entry
    operations = list[Operation]()
    for start in range(0, len(operation_ids), _CHUNK):
        chunk = operation_ids[start : start + _CHUNK]
        mine = list(Operation.objects.filter(where, pk__in=chunk).values_list("pk", flat=True))
        rows = Operation.objects.filter(pk__in=mine)
        rows.update(last_sequence=F("last_sequence") + 1, updated_at=Now(), **changes)
        appended = list(rows.defer(*_DEFERRED))
        _insert_for_each(appended, kind, data)
        operations += appended
    return operations


def begin(operation: Operation, entries: Sequence[Entry]) -> None:
    """The first events of an operation that was inserted in this very transaction."""
    operation.last_sequence = len(entries)
    operation.save(force_insert=True)
    _insert(operation, entries)


def begin_all(operations: Sequence[Operation], kind: str, data: dict[str, Any]) -> None:
    """Insert many new operations, each with the same first event, in two statements."""
    for operation in operations:
        operation.last_sequence = 1
    Operation.objects.bulk_create(operations, batch_size=500)
    _insert_for_each(operations, kind, data)


def _insert_for_each(operations: Sequence[Operation], kind: str, data: dict[str, Any]) -> None:
    """The newest event of each of these, the same for all."""
    Event.objects.bulk_create(
        [
            Event(
                operation_id=row.pk,
                root_id=row.root_id,
                sequence=row.last_sequence,
                kind=kind,
                attempt=row.attempt,
                data=data,
            )
            for row in operations
        ],
        batch_size=_CHUNK,
    )
    for row in operations:
        hint = publisher.Hint(str(row.pk), str(row.root_id), row.owner_id, row.last_sequence)
        transaction.on_commit(partial(publisher.publish, hint))


def _insert(operation: Operation, entries: Sequence[Entry]) -> None:
    first = operation.last_sequence - len(entries) + 1
    Event.objects.bulk_create(
        Event(
            operation_id=operation.pk,
            root_id=operation.root_id,
            sequence=first + index,
            kind=kind,
            attempt=operation.attempt,
            data=data,
        )
        for index, (kind, data) in enumerate(entries)
    )
    hint = publisher.Hint(str(operation.pk), str(operation.root_id), operation.owner_id, operation.last_sequence)
    transaction.on_commit(lambda: publisher.publish(hint))
