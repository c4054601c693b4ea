from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class LroConfig(AppConfig):
    name = "lro"
    verbose_name = "Long-running operations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import every app's `operations` module, which registers its operations, and give each its Celery task."""
        autodiscover_modules("operations")
        from . import tasks

        tasks.declare()
