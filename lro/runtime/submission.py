"""Accept and record: from a request's data to a durable operation."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models.functions import Now
from django.http import QueryDict
from rest_framework.exceptions import PermissionDenied, ValidationError

from ..conf import conf
from ..exceptions import AlreadyActive, Fail, IdempotencyMismatch, InvalidValue, NotAllowedNow
from ..lifecycle import transitions
from ..models import Operation
from ..models.operation import uuid7
from ..storable import storable
from . import admission, inputs, masking, queueing, registry
from .operations import OperationTask


@dataclass(frozen=True, slots=True)
class Submission:
    operation: Operation
    is_replayed: bool = False


def _permitted(name: str, owner: Any) -> type[OperationTask]:
    cls = registry.find_public(name)
    if cls.permission and not owner.has_perm(cls.permission):
        raise PermissionDenied(f"'{name}' needs the permission {cls.permission}.")
    return cls


def _prepared(cls: type[OperationTask], data: Any, owner: Any) -> dict[str, Any]:
    with masking.redacted(cls, data):
        return cls.prepare(_valid(cls, data, owner), owner)


def _valid(cls: type[OperationTask], data: Any, owner: Any) -> dict[str, Any]:
    if cls.input_serializer is None:
        if not isinstance(data, dict):
            raise ValidationError("The input must be a JSON object.")
        return data.dict() if isinstance(data, QueryDict) else dict(data)
    serializer = cls.input_serializer(data=data, context={"owner": owner})
    inputs.refuse_unknown(serializer, data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def submit(name: str, data: Any, owner: Any, *, idempotency_key: str | None = None) -> Submission:
    """Record a new operation and wake a worker, or find the one that this idempotency key already made.

    Raises UnknownOperation, PermissionDenied, ValidationError, Problem, and then has created nothing.
    """
    cls = _permitted(name, owner)
    prepared = _prepared(cls, data, owner)
    try:
        submission = _record(cls, prepared, owner, idempotency_key)
    except (OperationalError, InterfaceError):
        raise  # its COMMIT may have gone through, and the operation that is there needs what was prepared
    except BaseException:
        cls.discard(prepared)
        raise
    if submission.is_replayed:
        cls.discard(prepared)
    else:
        transaction.on_commit(lambda: _begin(cls, submission.operation))
    return submission


def _begin(cls: type[OperationTask], operation: Operation) -> None:
    if cls.single_flight == admission.REPLACE:
        for other in admission.replaced_by(operation):
            with suppress(NotAllowedNow):  # it ended meanwhile
                transitions.cancel(other, f"operation {operation.pk}, which takes its place")
    queueing.wake(operation)


def check(name: str, data: Any, owner: Any) -> None:
    """Raise what `submit` raises for the sake of the input, and leave nothing behind."""
    cls = _permitted(name, owner)
    prepared = _prepared(cls, data, owner)
    try:
        _admit(cls, _stored(prepared), owner)
    finally:
        cls.discard(prepared)


def _record(cls: type[OperationTask], prepared: dict[str, Any], owner: Any, key: str | None) -> Submission:
    stored = _stored(prepared)
    identity = json.dumps(cls.identity(stored), sort_keys=True).encode()
    identifier = uuid7()
    operation = Operation(
        id=identifier,
        root_id=identifier,
        name=cls.name,
        owner=owner if getattr(owner, "pk", None) else None,
        input=stored,
        tags=cls.tags(stored),
        queue=cls.queue,
        max_attempts=cls.attempts(),
        **_limits(cls),
        **admission.flight(cls, stored),
        idempotency_key=key or None,
        input_digest=hashlib.sha256(identity).hexdigest(),
    )
    try:
        with transaction.atomic():
            if (earlier := _earlier(operation)) is not None:
                return earlier
            admission.admit(cls, owner)
            _admit(cls, stored, owner)
            admission.refuse_second(operation)
            transitions.submit(operation, {"name": cls.name})
    except (AlreadyActive, IntegrityError) as error:  # another request was quicker
        if (earlier := _earlier(operation)) is not None:
            return earlier
        _admit(cls, stored, owner)  # it sees the other one now, and may have better words
        raise error if isinstance(error, AlreadyActive) else AlreadyActive from error
    operation.refresh_from_db()
    return Submission(operation)


def _admit(cls: type[OperationTask], stored: dict[str, Any], owner: Any) -> None:
    with masking.redacted(cls, stored):
        cls.admit(stored, owner)


def _stored(prepared: dict[str, Any]) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = storable(prepared, what="input", max_bytes=conf().input_max_bytes)
    except InvalidValue as error:
        raise ValidationError(error.message) from error
    return stored


def child_of(parent: Operation, cls: type[OperationTask], data: dict[str, Any]) -> Operation:
    """An unsaved child of `parent`. Raises `Fail` for an input that the child does not accept.

    No permission is asked: the parent's class decides what it needs.
    """
    try:
        prepared = _prepared(cls, data, parent.owner)
    except ValidationError as error:
        message = f"The child {cls.name} does not accept its input: {json.dumps(error.detail, default=str)}"
        raise Fail("invalid_child_input", message[:2_000]) from error
    stored = storable(prepared, what="input", max_bytes=conf().input_max_bytes)
    return Operation(
        root_id=parent.root_id,
        parent_id=parent.pk,
        depth=parent.depth + 1,
        name=cls.name,
        owner_id=parent.owner_id,
        input=stored,
        tags=cls.tags(stored),
        queue=cls.queue,
        max_attempts=cls.attempts(),
        **_limits(cls),
        **{**admission.flight(cls, stored), "is_exclusive": False},
    )


def _limits(cls: type[OperationTask]) -> dict[str, Any]:
    """The time limits of the class, as they are now: a later change of the class does not change its operations."""

    def span(seconds: float | None) -> timedelta | None:
        return None if seconds is None else timedelta(seconds=seconds)

    queue_timeout, deadline = span(cls.queue_timeout), span(cls.deadline)
    return {
        "claim_by": queue_timeout and Now() + queue_timeout,
        "deadline_at": deadline and Now() + deadline,
        "attempt_timeout": span(cls.attempt_timeout),
        "max_stall": span(cls.max_stall),
        "cancel_grace": span(conf().cancel_grace_seconds if cls.cancel_grace is None else cls.cancel_grace),
    }


def _earlier(operation: Operation) -> Submission | None:
    """What this idempotency key made before. Raises `IdempotencyMismatch` where the input was another one."""
    if operation.idempotency_key is None:
        return None
    earlier = Operation.objects.filter(
        owner=operation.owner, name=operation.name, idempotency_key=operation.idempotency_key
    ).first()
    if earlier is None:
        return None
    if earlier.input_digest != operation.input_digest:
        raise IdempotencyMismatch
    return Submission(earlier, is_replayed=True)
