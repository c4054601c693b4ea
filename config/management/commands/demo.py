"""`manage.py demo`."""

from typing import Any

from django.core.management.base import BaseCommand

from config.data_directory import DataDirectory
from config.demo import ensure_accounts


class Command(BaseCommand):
    """Make the accounts of the demo and print their passwords."""

    help = "Make the accounts demo, staff and admin, and print their passwords. For a development machine only."

    def handle(self, *args: Any, **options: Any) -> None:
        for account in ensure_accounts(DataDirectory.from_environment()):
            self.stdout.write(str(account))
