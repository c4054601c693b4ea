from __future__ import annotations

from typing import Any, Self

from django.db import models

from ..states import HELD, TERMINAL


class OperationQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> Self:
        """What `user` may see: the one rule for REST, sockets, admin, artifacts, rejects and events."""
        if not getattr(user, "is_authenticated", False) or not user.is_active:
            return self.none()
        if user.has_perm("lro.view_all_operations"):
            return self
        return self.filter(owner=user)

    def active(self) -> Self:
        return self.exclude(state__in=TERMINAL)

    def held(self) -> Self:
        return self.filter(state__in=HELD)
