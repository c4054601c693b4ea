"""Change records in bulk. Its operations will register themselves in `operations.py`."""

from __future__ import annotations

from django.apps import AppConfig


class MigrationsConfig(AppConfig):
    name = "migrations_app"
    verbose_name = "Migrations"
