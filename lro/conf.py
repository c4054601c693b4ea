"""Typed defaults, each of which the host project's `LRO` setting overrides."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed


@dataclass(frozen=True, slots=True)
class Conf:
    lease_seconds: float = 30.0
    heartbeat_seconds: float = 1.5  # also bounds how late a silent operation hears of a cancel
    self_fence_seconds: float = 20.0
    progress_seconds: float = 0.25
    reconcile_seconds: float = 5.0
    rewake_seconds: float = 15.0
    cancel_grace_seconds: float = 10.0
    floor_poll_seconds: float = 2.0
    review_seconds: float = 60.0  # how soon a follower whose right was withdrawn is told no more
    authentication_seconds: float = 10.0
    socket_frames_per_minute: int = 100
    socket_subscriptions: int = 50
    batch_size: int = 200
    shutdown_seconds: float = 25.0
    max_attempts: int = 4
    max_crashes: int = 3
    retry_base_seconds: float = 2.0
    retry_cap_seconds: float = 300.0
    retention_days: int = 30
    release_seconds: float = 60.0  # a cleanup that takes longer may be begun a second time
    release_tries: int = 5
    temp_dir: str = ""  # one for all workers of an installation; else a folder of MEDIA_ROOT
    max_active_per_owner: int = 1_000  # 0: no limit; children are not counted
    max_submissions_per_minute: int = 0
    max_queued: int = 100_000  # of all owners, children included
    max_children: int = 10_000
    max_depth: int = 5
    input_max_bytes: int = 256 * 1024
    result_max_bytes: int = 256 * 1024
    event_max_bytes: int = 64 * 1024
    metrics_token: str = ""  # for a monitor; without one only who may see all operations may read the metrics
    allowed_origins: tuple[str, ...] = ()


@cache
def conf() -> Conf:
    """The settings in force. Unknown names are refused, so that a typing error cannot pass silently."""
    overrides = dict(getattr(settings, "LRO", {}))
    known = {field.name for field in fields(Conf)}
    unknown = sorted(set(overrides) - {name.upper() for name in known})
    if unknown:
        raise ImproperlyConfigured(
            f"LRO has unknown settings: {', '.join(unknown)}. Known: {', '.join(sorted(known)).upper()}."
        )
    return Conf(**{name.lower(): value for name, value in overrides.items()})


def _forget(*, setting: str, **_: object) -> None:
    if setting == "LRO":
        conf.cache_clear()


setting_changed.connect(_forget)
