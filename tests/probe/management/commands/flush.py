"""`flush`, with which every test ends that really commits: a millisecond or two instead of a hundred.

TRUNCATE makes new files for all tables, and what migrations made (content types, permissions) would be made again. So
rows are deleted instead, and those that no test changes stay. Writers are waited for, as TRUNCATE does.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.commands import flush
from django.db import connections

KEPT = {model._meta.db_table for model in (ContentType, Permission)}


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        if options["interactive"] or options.get("reset_sequences", True):
            super().handle(**options)
            return
        connection = connections[options["database"]]
        names = set(connection.introspection.django_table_names(include_views=False)) - KEPT
        tables = [connection.ops.quote_name(name) for name in sorted(names)]
        waiting = [f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE"] if connection.vendor == "postgresql" else []
        connection.ops.execute_sql_flush([*waiting, *(f"DELETE FROM {table}" for table in tables)])
