"""The site around `lro`: settings, addresses, and the processes that `make run` starts."""

from config.celery import celery_app

__all__ = ["celery_app"]
