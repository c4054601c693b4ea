"""What `run` is handed: the verbs by which an operation reports, saves and stops."""

from __future__ import annotations

import hashlib
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any, TypeVar

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q

from ..conf import conf
from ..events import journal
from ..events.progress import Meter
from ..exceptions import Interrupted, LeaseLost, Wait
from ..lifecycle.leases import held_by
from ..lifecycle.removal import discard_file
from ..models import Artifact, Event, Operation, Resource
from ..storable import storable
from . import fan_out, rejects, resources
from .heartbeat import Heartbeat
from .resources import Holdings

logger = logging.getLogger(__name__)
Item = TypeVar("Item")


class OperationContext:
    """The verbs of one attempt. Every write is fenced: without the lease it raises `LeaseLost` and writes nothing."""

    def __init__(self, held: Operation, meter: Meter, heartbeat: Heartbeat, holdings: Holdings) -> None:
        self._held, self._meter, self._heartbeat, self._holdings = held, meter, heartbeat, holdings
        self._spawner = fan_out.Spawner(held)
        self._rejects: list[dict[str, Any]] = []
        self.id = held.pk
        self.attempt = held.attempt
        self.owner_id = held.owner_id
        self._sequence = held.last_sequence  # what this attempt knows to be written
        #: What the last checkpoint saved, or None at the very start.
        self.cursor: Any = held.checkpoint
        self.rejected: int = held.rejected

    # Progress and control

    def track(self, items: Iterable[Item], *, unit: str = "items", total: int | None = None) -> Iterator[Item]:
        """Iterate with progress, and stop where a cancel, a pause or a lost lease asks for it."""
        meter, heartbeat = self._meter, self._heartbeat
        meter.unit = unit
        meter.total = len(items) if total is None and isinstance(items, Sized) else total
        for item in items:
            if heartbeat.must_stop:
                self.check()
            yield item
            meter.current += 1  # after the body: an item whose body raised is not counted

    def progress(
        self,
        current: int | None = None,
        total: int | None = None,
        *,
        unit: str | None = None,
        message: str | None = None,
        fraction: float | None = None,
    ) -> None:
        """Say where the work stands; cheap, and written at most a few times a second.

        `fraction` (0 to 1) gives the percentage where the total is unknown in units, as rows of a file are.
        """
        self.check()
        meter = self._meter
        given = {"current": current, "total": total, "unit": unit, "message": message, "fraction": fraction}
        for name, value in given.items():
            if value is not None:
                setattr(meter, name, value)

    def step(self, name: str) -> None:
        """Begin a named step of the work."""
        self._meter.step = name
        self._append("step", {"step": name})

    def check(self) -> None:
        """Raise `Interrupted` where the operation should stop, `LeaseLost` where it is no longer ours.

        An error where what was said of the progress could not be stored.
        """
        if self._heartbeat.is_lost:
            raise LeaseLost
        if self._heartbeat.refusal is not None:
            raise self._heartbeat.refusal
        if self._heartbeat.must_stop:
            raise Interrupted

    def check_progress(self) -> None:
        """Raise an error where what was said of the progress cannot be stored."""
        storable(self._meter.snapshot(), what="progress", max_bytes=conf().event_max_bytes)

    # Facts

    def log(self, message: str, *, level: str = "info", **data: Any) -> None:
        """A line for the people who watch; durable, in order."""
        self._append("log", {"message": message, "level": level, **data})

    def partial(self, data: dict[str, Any]) -> None:
        """A result so far, for the people who watch: what the work would answer if it ended now."""
        self._append("partial", data)

    def event(self, kind: str, *data: dict[str, Any]) -> None:
        """A fact of the module's own, named `module.something`; several of one kind are written together, in order."""
        if data:
            self._append(kind, *data)

    def reject(
        self,
        position: int,
        code: str,
        message: str,
        *,
        column: str = "",
        raw: str = "",
        offset: int | None = None,
    ) -> None:
        """Set one input item aside: `position` is its line or index. It is written with the next checkpoint."""
        self._rejects.append(rejects.row(position, code, message, column=column, raw=raw, offset=offset))
        self.rejected += 1
        self._meter.rejected = self.rejected

    def checkpoint(self, cursor: Any, *, save: Callable[[], object] | None = None) -> None:
        """Make everything up to here durable in one transaction: the cursor, the rejects, and what `save` writes.

        After a crash the next attempt finds `cursor` in `op.cursor`, so each item takes effect exactly once. `save`
        may be called again after a deadlock or a lost connection: it must write to the database only, and make the
        rows that it inserts anew each time, as an id that was given in a lost transaction may be given again.

        Where only `save` itself finds out how far it comes, and what it rejects, `cursor` is a function: it is asked
        when `save` has returned.
        """
        number = self._held.checkpoints + 1
        if callable(cursor):
            before = list(self._rejects)
            self.cursor = self._persevere(lambda: self._commit_late(cursor, number, save, before))
        else:
            self.cursor = _cursor(cursor)
            self._persevere(lambda: self._commit(self.cursor, number, save))
        self._held.checkpoints = number
        self._rejects = []
        self.check()

    def artifact(self, path: Path, name: str, *, content_type: str = "application/octet-stream") -> Artifact:
        """Keep the file at `path` as a download of this operation; a second one of the same name replaces the first."""
        resource = self._holdings.file()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._register(resource)
            stored = resource.data["name"] = default_storage.save(resource.data["name"], File(file))
        values = {"file": stored, "size": path.stat().st_size, "sha256": digest, "content_type": content_type}
        artifact, replaced = self._persevere(lambda: self._keep(resource, name, values))
        resources.release_quietly(replaced)
        return artifact

    # What must not be left behind

    def tempfile(self, suffix: str = "") -> Path:
        """A path for a temporary file or folder, deleted when this attempt ends, however it ends."""
        resource = self._holdings.tempfile(suffix)
        path = resources.path_of(resource)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._register(resource)
        return path

    def defer(self, name: str, **data: Any) -> None:
        """Call the cleanup `name` (see `lro.cleanup`) when this attempt ends, however it ends; the last one first.

        Defer it before you make what it undoes: a kill may come between the two.
        """
        self._register(self._holdings.cleanup(name, data))

    def _register(self, resource: Resource) -> None:
        self.check()
        self._persevere(lambda: self._holdings.register(resource))

    # Children

    def spawn(
        self,
        name: str,
        data: dict[str, Any] | Iterable[dict[str, Any]],
        *,
        keys: Iterable[str] | None = None,
        weight: float = 1.0,
    ) -> None:
        """Start one child operation, or one per input of an iterable; `weight` is its share of this one's progress.

        `run` comes here again in a later attempt: what it asked for before, or what has the same key, is not made
        twice. An input that the child does not accept fails this operation.
        """
        inputs = [data] if isinstance(data, dict) else data
        for children in self._spawner.chunks(name, inputs, keys, weight):
            self.check()
            self._persevere(lambda chunk=children: self._spawner.spawn(chunk))  # type: ignore[misc]

    def gather(self, *, on_failure: str = "fail_parent") -> list[Operation]:
        """All children, ended, in the order in which they were spawned.

        While some are at work the attempt ends here, its worker is free, and `run` is called again when the last one
        has ended. `on_failure`: `fail_parent` fails this operation with the first child that does not succeed and
        cancels the others, `collect` returns every child, `ignore` those that succeeded.
        """
        if self._rejects:
            self.checkpoint(self.cursor)
        children = fan_out.gathered(self._held, on_failure)
        if children is None:
            raise Wait(on_failure)
        return children

    def adopt_rejects(self, children: Iterable[Operation], *, limit: int | None = None, first: int = 0) -> None:
        """Copy the rejects of these children, by their positions, until this operation has `limit`.

        `first` is added to each position, where a child counts its own items from zero. What this operation has
        already at a position is not copied again, so this may be called again after a crash.
        """
        for child in children:
            if limit is not None and self.rejected >= limit:
                return
            self.check()
            self._persevere(lambda child=child: self._adopt(child, limit, first))  # type: ignore[misc]

    # The fenced writes

    def _adopt(self, child: Operation, limit: int | None, first: int) -> None:
        """What is stored says how much room there is: a commit may have gone through though its connection broke."""
        with transaction.atomic():
            row = Operation.objects.select_for_update().filter(held_by(self._held.fence), pk=self.id)
            if (stored := row.values_list("rejected", flat=True).first()) is None:
                raise LeaseLost
            before = stored + len(self._rejects)
            room = None if limit is None else max(0, limit - before)
            count, some = fan_out.copy_rejects(child.pk, self.id, room, first)
            if count:
                news = rejects.news([vars(reject) for reject in some], before + count) | {"count": count}
                self._write("reject", news, rejected=F("rejected") + count)
        self.rejected = self._meter.rejected = before + count

    def _append(self, kind: str, *data: dict[str, Any]) -> None:
        self.check()
        tries = itertools.count()

        def write() -> None:
            if next(tries) == 0 or not self._is_written(kind, data):
                self._write(kind, *data)

        self._persevere(write)

    def _is_written(self, kind: str, data: Sequence[dict[str, Any]]) -> bool:
        """Whether the commit of these had gone through though its connection broke: nobody else tells such facts."""
        facts = [storable(each, what="event", max_bytes=conf().event_max_bytes) for each in data]
        mine = Event.objects.filter(operation_id=self.id, attempt=self.attempt, kind=kind, sequence__gt=self._sequence)
        return [fact for fact in mine.values_list("data", flat=True) if fact in facts] == facts

    def _write(self, kind: str, *data: dict[str, Any], **changes: Any) -> None:
        entries = [(kind, each) for each in data]
        operation = journal.append(self.id, entries, where=held_by(self._held.fence), **changes)
        if operation is None:
            raise LeaseLost
        self._sequence = operation.last_sequence

    def _commit(self, cursor: Any, number: int, save: Callable[[], object] | None) -> None:
        """The fenced update comes first, so that whoever lost the lease writes nothing."""
        mine, count = held_by(self._held.fence), len(self._rejects)
        changes = {"checkpoint": cursor, "checkpoints": number, "failures": 0, "crashes": 0}
        with transaction.atomic():
            if not self._advance(mine & Q(checkpoints=number - 1), {**changes, "rejected": F("rejected") + count}):
                if Operation.objects.filter(mine, pk=self.id, checkpoints=number).exists():
                    return  # the connection broke in COMMIT, and the commit had gone through
                raise LeaseLost
            rejects.insert(self.id, self._rejects)
            if save is not None:
                save()

    def _commit_late(
        self, cursor: Callable[[], Any], number: int, save: Callable[[], object] | None, before: list[dict[str, Any]]
    ) -> Any:
        """As `_commit`, with the cursor and the rejects last; the cursor as it is stored now."""
        self.rejected += len(before) - len(self._rejects)
        self._rejects = list(before)
        mine, changes = held_by(self._held.fence), {"failures": 0, "crashes": 0}
        with transaction.atomic():
            rows = Operation.objects.filter(mine, pk=self.id)
            if not rows.filter(checkpoints=number - 1).update(checkpoints=number, **changes):
                if (stored := rows.filter(checkpoints=number).first()) is not None:
                    self.rejected = stored.rejected
                    return stored.checkpoint
                raise LeaseLost
            if save is not None:
                save()
            late, count = _cursor(cursor()), len(self._rejects)
            if not self._advance(mine, {"checkpoint": late, "rejected": F("rejected") + count}):
                raise LeaseLost
            rejects.insert(self.id, self._rejects)
        return late

    def _advance(self, where: Q, changes: dict[str, Any]) -> bool:
        if not self._rejects:
            return bool(Operation.objects.filter(where, pk=self.id).update(**changes))
        news = rejects.news(self._rejects, self.rejected)
        return journal.append(self.id, [("reject", news)], where=where, **changes) is not None

    def _keep(self, resource: Resource, name: str, values: dict[str, Any]) -> tuple[Artifact, list[Resource]]:
        """The row that the file belongs to from now on, and the file that it had before."""
        mine = Artifact.objects.filter(operation_id=self.id, name=name)
        with transaction.atomic():
            if not self._holdings.keep(resource) and (kept := mine.filter(file=values["file"]).first()):
                return kept, []  # the connection broke in COMMIT, and the commit had gone through
            self._write("artifact", {"name": name, "size": values["size"], "sha256": values["sha256"]})
            replaced = [discard_file(file) for file in mine.values_list("file", flat=True)]
            Resource.objects.bulk_create(replaced)
            return mine.update_or_create(operation_id=self.id, name=name, defaults=values)[0], replaced

    def _persevere(self, write: Callable[[], Item]) -> Item:
        """Repeat `write` while the database is away, as long as the lease may still be ours: no attempt is spent."""
        deadline = time.monotonic() + conf().self_fence_seconds
        while True:
            try:
                return write()
            except (OperationalError, InterfaceError) as error:
                if connection.in_atomic_block or time.monotonic() > deadline or self._heartbeat.is_lost:
                    raise
                logger.warning("operation %s: a write failed and is tried again: %s", self.id, error)
                connection.close()
                time.sleep(0.2)


def _cursor(value: Any) -> Any:
    return storable(value, what="checkpoint", max_bytes=conf().input_max_bytes)
