from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class MigrationsConfig(AppConfig):
    name = "migrations_app"
    verbose_name = "Data migrations"

    def ready(self) -> None:
        """Import every app's `data_migrations`, which registers them, and check them with the rest of the project."""
        from . import checks  # noqa: F401

        autodiscover_modules("data_migrations")
