"""Data migrations: what an author declares in an app's `data_migrations.py`."""

from .declaration import DataMigration, Step
from .registry import data_migration

__all__ = ["DataMigration", "Step", "data_migration"]
