"""Who may see and do what, asked by every transport in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.http import Http404

from ..models import Operation
from ..runtime import control, pruner, registry

_PERMISSION = {"cancel": "cancel", "pause": "pause", "resume": "pause", "retry": "retry", "delete": "delete"}
VERBS = frozenset(_PERMISSION)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may see and do, as it was when it was asked: for whoever tells many users of one operation."""

    user: Any
    sees_others: bool
    on_others: frozenset[str]

    @classmethod
    def of(cls, user: Any) -> Self:
        """Asks the database, where the user's permissions were not asked for before."""
        sees_others = user.has_perm("lro.view_all_operations")
        on_others = frozenset(verb for verb in VERBS if may(user, verb, None))
        return cls(user, sees_others, on_others)

    def sees(self, owner_id: Any) -> bool:
        return self.sees_others or owner_id == self.user.pk

    def verbs(self, owner_id: Any) -> frozenset[str]:
        """What may be done to an operation of that owner, whatever its state."""
        return VERBS if owner_id == self.user.pk else self.on_others


def visible_operation(user: Any, operation_id: UUID | str) -> Operation:
    """The operation, or `Http404`: what is not this user's does not exist for them."""
    try:
        identifier = operation_id if isinstance(operation_id, UUID) else UUID(str(operation_id))
    except ValueError:
        raise Http404 from None
    found: Operation | None = Operation.objects.visible_to(user).select_related("owner").filter(pk=identifier).first()
    if found is None:
        raise Http404("There is no such operation.")
    return found


def may(user: Any, verb: str, owner_id: Any) -> bool:
    """Whether `user`, who sees an operation of that owner, may do this to it, whatever its state."""
    return bool(owner_id == user.pk or user.has_perm(f"lro.{_PERMISSION[verb]}_operation"))


def _may_go_on_with(user: Any, verb: str, operation: Operation) -> bool:
    """Whoever may not start it any more may not have it go on; unless they may do this to everybody's."""
    name = Operation.objects.filter(pk=operation.root_id).values_list("name", flat=True).first()
    cls = registry.known(name or operation.name)  # where its code is gone, the attempt will say so
    return cls is None or cls.permission is None or user.has_perm(cls.permission) or may(user, verb, None)


def delete(user: Any, operation_id: UUID | str) -> None:
    """Delete a finished operation with its descendants and files. Raises `Http404` and `NotAllowedNow`."""
    operation = visible_operation(user, operation_id)
    if not may(user, "delete", operation.owner_id):
        raise Http404("There is no such operation.")
    pruner.delete(operation)


def act(user: Any, verb: str, operation_id: UUID | str, **options: Any) -> Operation:
    """Do `verb` for `user`. Raises `Http404` and `NotAllowedNow`."""
    operation = visible_operation(user, operation_id)
    is_going_on = verb in ("resume", "retry")
    if not may(user, verb, operation.owner_id) or (is_going_on and not _may_go_on_with(user, verb, operation)):
        raise Http404("There is no such operation.")
    control.act(verb, operation.pk, user.get_username(), **options)
    return visible_operation(user, operation.pk)
