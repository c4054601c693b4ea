"""The three accounts of the demo: an ordinary person, one of the staff, and an administrator."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import Permission, User
from django.db import transaction

from config.data_directory import DataDirectory, write_private

NAMES = ("demo", "staff", "admin")
# Tells the demo's accounts from those of people: only these ever get a password from here.
MARK = "@demo.invalid"
STAFF_APPS = ("lro", "uploads", "migrations_app")


@dataclass(frozen=True)
class Account:
    """One account; without a password where it is somebody else's and was left alone."""

    name: str
    password: str | None

    def __str__(self) -> str:
        return f"{self.name:<6} {self.password or '(not made here; left as it is)'}"


def ensure_accounts(data: DataDirectory) -> list[Account]:
    """Make what is missing; at every call the same passwords, kept in the data directory."""
    kept = data.root / "demo.json"
    passwords = _passwords(kept)
    data.root.mkdir(parents=True, exist_ok=True)
    write_private(kept, json.dumps(passwords, indent=2))
    with transaction.atomic():
        return [_ensure(name, passwords[name]) for name in NAMES]


def _passwords(kept: Path) -> dict[str, str]:
    known = json.loads(kept.read_text()) if kept.exists() else {}
    override = os.environ.get("LRO_DEMO_PASSWORD")
    return {name: override or known.get(name) or secrets.token_urlsafe(9) for name in NAMES}


def _ensure(name: str, password: str) -> Account:
    user, _ = User.objects.get_or_create(username=name, defaults={"email": name + MARK})
    if not user.email.endswith(MARK):
        return Account(name, None)
    user.is_staff = name in {"staff", "admin"}
    user.is_superuser = name == "admin"
    if not user.check_password(password):
        user.set_password(password)
    user.save()
    if name == "staff":
        user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=STAFF_APPS))
    return Account(name, password)
