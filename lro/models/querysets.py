from __future__ import annotations

import json
from typing import Any, Self

from django.db import connections, models
from django.db.models.functions import Cast

from ..states import ACTIVE, HELD


class OperationQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> Self:
        """What `user` may see: the one rule for REST, sockets, admin, artifacts, rejects and events."""
        if not getattr(user, "is_authenticated", False) or not user.is_active:
            return self.none()
        if user.has_perm("lro.view_all_operations"):
            return self
        return self.filter(owner=user)

    def active(self) -> Self:
        return self.filter(state__in=ACTIVE)  # not all but the ended ones: an index knows these

    def tagged(self, tag: str) -> Self:
        if connections[self.db].features.supports_json_field_contains:
            return self.filter(tags__contains=[tag])
        return self.annotate(_tags=Cast("tags", models.TextField())).filter(_tags__contains=json.dumps(tag))

    def held(self) -> Self:
        return self.filter(state__in=HELD)
