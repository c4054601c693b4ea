"""The project's own settings, with operations that are named by how they behave."""

import json
import os

from config.settings import *  # noqa: F403
from config.settings import CELERY_BROKER_TRANSPORT_OPTIONS, DATA, DATABASES, INSTALLED_APPS, LRO

INSTALLED_APPS = [*INSTALLED_APPS, "tests.probe"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # `make test-sqlite`
    DATABASES["default"]["TEST"] = {"NAME": DATA.root / "test.sqlite3"}  # a file: threads do not see memory's
# Two processes of pytest share a broker, and neither may see what the other one sent.
_prefix = f"lro-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}:"
CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "global_keyprefix": _prefix}
if seconds := os.environ.get("LRO_TEST_VISIBILITY_SECONDS"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "visibility_timeout": int(seconds)}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LRO = {
    **LRO,
    "REWAKE_SECONDS": 3.0,
    "CANCEL_GRACE_SECONDS": 3.0,
    "SHUTDOWN_SECONDS": 3.0,
    **json.loads(os.environ.get("LRO_TEST_SETTINGS", "{}")),
}
