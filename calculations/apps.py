"""Compute on a dataset, or on random paths, and watch the answer sharpen."""

from __future__ import annotations

from django.apps import AppConfig


class CalculationsConfig(AppConfig):
    name = "calculations"
    verbose_name = "Calculations"
