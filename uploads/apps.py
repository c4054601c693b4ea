from __future__ import annotations

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = "Uploads"

    def ready(self) -> None:
        from lro import datasets

        from .models import Dataset

        datasets.provide(Dataset.find)
