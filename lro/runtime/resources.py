"""Leave nothing behind: what an attempt makes is registered before it is there, and released once when it ends.

The worker releases what its attempt registered, before it writes the outcome: whoever sees the end finds nothing left.
Where the worker could not, because it was killed or lost its lease, a reconciler does. A release that fails is tried
again a few times, then kept with its error for `lro doctor`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import default_storage
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from ..conf import conf
from ..exceptions import LeaseLost, UnknownCleanup
from ..lifecycle import leases, retries
from ..models import Attempt, Operation, Resource
from ..models.operation import uuid7
from ..models.resource import FREE, Kind
from ..storable import storable
from . import registry

logger = logging.getLogger(__name__)
Cleanup = TypeVar("Cleanup", bound=Callable[..., object])

_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_-]*")
_SUFFIX = re.compile(r"[A-Za-z0-9._-]{0,50}")
_cleanups: dict[str, Callable[..., object]] = {}


def cleanup(name: str) -> Callable[[Cleanup], Cleanup]:
    """Declare a function as the cleanup `name`, `module.something`, for `op.defer(name, **data)`.

    It is called with the data, in the worker or, after a crash, in another process. It may be called again where it
    was killed or raised, so it must do no harm the second time. Declare it in the app's `operations` module.
    """
    if not _NAME.fullmatch(name):
        raise ImproperlyConfigured(f"'{name}' is no name of a cleanup; it must look like 'module.something'.")

    def declare(function: Cleanup) -> Cleanup:
        known = _cleanups.get(name)
        if known is not None and known.__qualname__ != function.__qualname__:
            raise ImproperlyConfigured(f"The cleanup '{name}' is declared twice: {known!r} and {function!r}.")
        _cleanups[name] = function
        return function

    return declare


def temp_dir() -> Path:
    """Where temporary files are: a folder that all workers of this installation share."""
    if named := conf().temp_dir:
        return Path(named)
    return Path(settings.MEDIA_ROOT or Path(tempfile.gettempdir(), "lro"), "temporary")


class Holdings:
    """What one attempt has registered. Each registration is fenced, and durable before the thing is made."""

    def __init__(self, held: Operation) -> None:
        self._held = held
        self._resources: list[Resource] = []

    def tempfile(self, suffix: str) -> Resource:
        if not _SUFFIX.fullmatch(suffix):
            raise ValueError(f"A suffix has at most 50 letters, digits, dots, dashes and underscores, not {suffix!r}.")
        return self._new(Kind.TEMPFILE, name=f"{uuid7().hex}{suffix}")

    def file(self) -> Resource:
        return self._new(Kind.FILE, name=f"artifacts/{uuid7().hex}")

    def cleanup(self, name: str, data: dict[str, Any]) -> Resource:
        if name not in _cleanups:
            raise UnknownCleanup(f"There is no cleanup '{name}'; declare it with @cleanup({name!r}).")
        data = storable(data, what=f"data of '{name}'", max_bytes=conf().event_max_bytes)
        return self._new(Kind.CLEANUP, name=name, data=data)

    def _new(self, kind: Kind, **data: Any) -> Resource:
        held = self._held
        return Resource(operation_id=held.pk, fence=held.fence, worker=held.worker, kind=kind, data=data)

    def register(self, resource: Resource) -> None:
        """Make its row durable; again with the same resource is harmless. Raises `LeaseLost`.

        Not inside a transaction: rolled back, it would take the row along and leave the thing.
        """
        with transaction.atomic(durable=True):
            held = Operation.objects.filter(leases.held_by(self._held.fence), pk=self._held.pk)
            if not held.select_for_update().exists():
                raise LeaseLost
            Resource.objects.bulk_create([resource], ignore_conflicts=True)
        self._resources.append(resource)

    def keep(self, resource: Resource) -> bool:
        """In the transaction that gives it another owner: it is no longer to be released. False where it is gone."""
        return bool(Resource.objects.filter(pk=resource.pk).delete()[0])

    def release(self) -> None:
        """Release everything, the last first. Never raises: what fails here is left to the reconciler."""
        for resource in reversed(self._resources):
            release_quietly([resource])
            if resource.kind == Kind.TEMPFILE:  # also where a reconciler came first, and the file was made after it
                with contextlib.suppress(OSError):
                    _remove(resource)
        self._resources = []


# Release


def release(resource: Resource) -> bool:
    """Claim it, do it, delete its row. False where somebody else does it, or it failed and will be tried again."""
    mine = Resource.objects.filter(pk=resource.pk, tries=resource.tries)
    me, pause = leases.worker_name(os.getpid(), os.getpid()), timedelta(seconds=conf().release_seconds)
    if not mine.update(tries=F("tries") + 1, next_try_at=Now() + pause, worker=me):
        return False
    resource.tries += 1
    mine = Resource.objects.filter(pk=resource.pk, tries=resource.tries)
    try:
        _RELEASES[Kind(resource.kind)](resource)
    except Exception as error:
        _postpone(resource, error)
        return False
    return bool(mine.delete()[0])


def _postpone(resource: Resource, error: Exception) -> None:
    limits = conf()
    is_last = resource.tries >= limits.release_tries
    level = logging.ERROR if is_last else logging.WARNING
    logger.log(level, "%s was not released at try %d", resource, resource.tries, exc_info=error)
    delay = retries.backoff(resource.tries, base=limits.retry_base_seconds, cap=limits.retry_cap_seconds)
    text = f"{type(error).__name__}: {error}"[:2_000].replace("\0", "�")
    rows = Resource.objects.filter(pk=resource.pk, tries=resource.tries)
    rows.update(next_try_at=None if is_last else Now() + delay, error=text)


def release_all(resources: Iterable[Resource]) -> int:
    return sum(release(resource) for resource in resources)


def release_quietly(resources: Iterable[Resource]) -> None:
    """As `release_all`, for who has better to do than to care for it: what fails is left to the reconciler."""
    try:
        release_all(resources)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("releases are left to the reconciler: %s", error)
        connection.close()


def path_of(resource: Resource) -> Path:
    return temp_dir() / str(resource.data["name"])


def _remove(resource: Resource) -> None:
    path = path_of(resource)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _delete_file(resource: Resource) -> None:
    default_storage.delete(resource.data["name"])


def _clean_up(resource: Resource) -> None:
    name = resource.data["name"]
    if name not in _cleanups:
        raise UnknownCleanup(f"There is no cleanup '{name}' any more.")
    _cleanups[name](**resource.data["data"])


def _forget(resource: Resource) -> None:
    values = dict(resource.data)
    operation = Operation(**values | {"id": UUID(values["id"])})
    if (cls := registry.known(operation.name)) is not None:
        cls.forget(operation)


_RELEASES: dict[Kind, Callable[[Resource], None]] = {
    Kind.TEMPFILE: _remove,
    Kind.FILE: _delete_file,
    Kind.CLEANUP: _clean_up,
    Kind.FORGET: _forget,
}


# The reconciler's part


def release_left() -> int:
    """What workers did not come to release, and what deletions left."""
    rows = due().filter(tries__lt=conf().release_tries)
    return release_all(list(rows[: conf().batch_size]))


def due() -> Any:
    """What is over and released by nobody, but for attempts whose process may still make the thing.

    Such a process releases it itself when it comes to its end. One that is dead is not waited for, whether it held the
    attempt or was about to release; one that cannot be seen is, for a lease.
    """
    over = Resource.objects.over()
    workers = over.filter(worker__startswith=f"{leases.node()}/").order_by().values_list("worker", flat=True)
    dead = [worker for worker in workers.distinct() if not leases.is_running(worker)]
    lately = Attempt.objects.filter(
        operation_id=OuterRef("operation_id"),
        fence=OuterRef("fence"),
        finished_at__gte=Now() - timedelta(seconds=conf().lease_seconds),
    )
    return over.filter(Q(worker__in=dead) | FREE & ~Exists(lately))


def given_up() -> Any:
    """What was tried often enough: somebody has to look at it."""
    return Resource.objects.over().filter(FREE, tries__gte=conf().release_tries)


def take_up_again() -> int:
    """Try again what was given up."""
    return int(given_up().update(tries=0, next_try_at=None))
