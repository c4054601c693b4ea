"""Check a dataset against rules. Its operations will register themselves in `operations.py`."""

from __future__ import annotations

from django.apps import AppConfig


class ValidationsConfig(AppConfig):
    name = "validations"
    verbose_name = "Validations"
