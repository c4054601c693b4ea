"""Check a dataset against rules, and propose rules from a dataset."""

from __future__ import annotations

import os

from django.apps import AppConfig


class ValidationsConfig(AppConfig):
    name = "validations"
    verbose_name = "Validations"

    def ready(self) -> None:
        # A worker has a child for each core: more threads in each of them would only be in each other's way.
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
