"""The project's own settings, with operations that are named by how they behave."""

import os

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS, LRO

INSTALLED_APPS = [*INSTALLED_APPS, "tests.probe"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LRO = {
    **LRO,
    "REWAKE_SECONDS": float(os.environ.get("LRO_TEST_REWAKE_SECONDS", "3")),
    "CANCEL_GRACE_SECONDS": 3.0,
    "SHUTDOWN_SECONDS": 3.0,
    "FLOOR_POLL_SECONDS": float(os.environ.get("LRO_TEST_FLOOR_POLL_SECONDS", "2")),
}
