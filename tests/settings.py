"""The project's own settings, with operations that are named by how they behave."""

import json
import os

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS, LRO

INSTALLED_APPS = [*INSTALLED_APPS, "tests.probe"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LRO = {
    **LRO,
    "REWAKE_SECONDS": 3.0,
    "CANCEL_GRACE_SECONDS": 3.0,
    "SHUTDOWN_SECONDS": 3.0,
    **json.loads(os.environ.get("LRO_TEST_SETTINGS", "{}")),
}
