"""Compute on a dataset. Its operations will register themselves in `operations.py`."""

from __future__ import annotations

from django.apps import AppConfig


class CalculationsConfig(AppConfig):
    name = "calculations"
    verbose_name = "Calculations"
