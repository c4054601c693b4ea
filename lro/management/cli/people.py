"""On whose behalf a command acts: a user of the site, or whoever has this shell."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.http import Http404

from ...exceptions import NotAllowedNow
from ...models import Operation
from ...runtime import control, pruner
from ...transports import access
from .exits import Exit, ending

_PIECE = re.compile(r"[0-9a-f-]{4,36}")


@dataclass(frozen=True, slots=True)
class Actor:
    """With a user, that user's rights; without one, all: who has the shell has the database."""

    user: Any = None

    def visible(self) -> Any:
        rows = Operation.objects.visible_to(self.user) if self.user else Operation.objects.all()
        return rows.select_related("owner")

    def find(self, text: str) -> Operation:
        """By id, or by a piece of its beginning or end that no other has."""
        rows = list(self._matching(text.lower().lstrip("…"))[:5])
        if len(rows) == 1:
            found: Operation = rows[0]
            return found
        if not rows:
            raise ending(Exit.NOT_FOUND, f"There is no operation '{text}'.")
        raise ending(Exit.USAGE, f"'{text}' may be {', '.join(str(row.pk) for row in rows)}, …: say more of it.")

    def _matching(self, text: str) -> Any:
        try:
            return self.visible().filter(pk=UUID(text))
        except ValueError:
            pass
        if not _PIECE.fullmatch(text):
            return Operation.objects.none()
        return self.visible().filter(Q(id__startswith=text) | Q(id__endswith=text))

    def act(self, verb: str, operation: Operation, **options: Any) -> Operation:
        try:
            if self.user:
                return access.act(self.user, verb, operation.pk, **options)
            return control.act(verb, operation.pk, f"{_shell_user()} (command line)", **options)
        except Http404:
            raise ending(Exit.NOT_FOUND, f"{self.user} may not {verb} {operation}.") from None
        except NotAllowedNow as refusal:
            raise ending(Exit.NOT_FOUND, f"{operation}: {refusal.message}") from refusal

    def prunable(self, older_than: timedelta | None) -> Any:
        """What `lro prune` would delete: all that is old enough, with a user what that user may delete."""
        rows = pruner.prunable(older_than).select_related("owner")
        if self.user and not self.user.has_perm("lro.delete_operation"):
            return rows.filter(owner=self.user)
        return rows.filter(pk__in=self.visible()) if self.user else rows

    def delete(self, operation: Operation) -> bool:
        """Whether it was deleted; somebody may be quicker, or try it again."""
        try:
            pruner.delete(operation)
        except NotAllowedNow:
            return False
        return True

    def owner(self) -> Any:
        """Who will own what is started: the user, else the one administrator there is."""
        if self.user:
            return self.user
        administrators = get_user_model()._default_manager.filter(is_superuser=True, is_active=True)[:2]
        if len(administrators) != 1:
            raise ending(Exit.USAGE, "Say for whom the operation is started: --as USER.")
        return administrators[0]


def actor(username: str | None) -> Actor:
    if username is None:
        return Actor()
    users = get_user_model()
    found = users._default_manager.filter(**{users.USERNAME_FIELD: username}, is_active=True).first()
    if found is None:
        raise ending(Exit.NOT_FOUND, f"There is no active user '{username}'.")
    return Actor(found)


def _shell_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return "somebody"
