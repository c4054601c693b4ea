"""What an author writes: a data migration, its steps, and what is done with a record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import Model, QuerySet

if TYPE_CHECKING:
    from rest_framework.serializers import Serializer

    from .batches import Batch


class Step:
    """Something that is done to many records. Define `source` and `process`, or `process_batch`.

    Change the attributes of a record, and the framework writes what has changed, for the whole batch at once, and only
    where nobody else changed it meanwhile. `save`, signals and `auto_now` have no part in it.
    """

    name: ClassVar[str] = ""
    #: Steps of the same migration that come before this one.
    after: ClassVar[Sequence[type[Step]]] = ()
    unit: ClassVar[str] = "records"
    #: Whether key ranges of the records may be processed at the same time.
    can_shard: ClassVar[bool] = True
    #: A batch has at most so many records; how many it really has follows from the time that they take.
    batch_records: ClassVar[int] = 20_000

    #: The valid parameters of the run.
    parameters: Mapping[str, Any]
    _batch: Batch

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters = parameters

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def source(self) -> QuerySet[Any] | Any:
        """The records: a queryset of whole rows, or a dataset (`lro.datasets.load`), whose records are dicts."""
        raise NotImplementedError(f"{type(self).__name__} must define source(self)")

    def process(self, record: Any) -> object:
        """Do what is to be done with one record, in the database only: it may be rolled back and done again.

        Raise `lro.RejectItem` to set it aside; any other error sets it aside too, under the error's name.
        """
        raise NotImplementedError(f"{type(self).__name__} must define process(self, record)")

    def process_batch(self, records: list[Any]) -> object:
        """The same for many at once. Where it raises, each record is tried alone."""
        for record in records:
            self.process(record)
        return None

    def reverse(self, record: Any) -> object:
        """Undo `process`. Not needed where the migration keeps the old values."""
        raise NotImplementedError(f"{type(self).__name__} has no reverse(self, record)")

    def reverse_batch(self, records: list[Any]) -> object:
        for record in records:
            self.reverse(record)
        return None

    def describe(self, record: Any) -> Any:
        """What a dry run shows of a record, before and after, as JSON data; by default what has changed of it."""
        return None

    # Verbs for `process` and `process_batch`; all of them write for the whole batch at once

    def reject(self, record: Any, code: str, message: str, *, column: str = "") -> None:
        """Set one record of the batch aside, and write nothing of it."""
        self._batch.reject(record, code, message, column=column)

    def fetch(self, rows: QuerySet[Any]) -> list[Any]:
        """Further rows: what you change of them is written too, as of the records themselves."""
        return self._batch.fetch(rows)

    def save(self, records: Sequence[Model], fields: Iterable[str]) -> int:
        """Write these fields of rows that came from elsewhere; how many rows differed."""
        return self._batch.save(records, list(fields))

    def insert(self, rows: Sequence[Model]) -> None:
        """Insert new rows, and set their keys."""
        self._batch.insert(rows)

    def upsert(self, rows: Sequence[Model], *, key: Sequence[str], update: Sequence[str] = ()) -> list[Any]:
        """Insert what is not there yet by `key`, write the fields `update` of what is; the stored rows, in order.

        `key` must be unique in the database. Of several rows with one key the last one counts.
        """
        return self._batch.upsert(rows, list(key), list(update))

    def delete(self, rows: Sequence[Model]) -> None:
        """Delete rows. Nothing cascades: what still points to them is an error."""
        self._batch.delete(rows)

    @classmethod
    def is_reversible(cls) -> bool:
        return cls.reverse is not Step.reverse or cls.reverse_batch is not Step.reverse_batch


class DataMigration:
    """A change of stored records in one or more steps, declared in an app's `data_migrations.py`."""

    name: ClassVar[str] = ""
    steps: ClassVar[Sequence[type[Step]]] = ()
    #: A DRF serializer of the parameters; without one there are none.
    parameters: ClassVar[type[Serializer[Any]] | None] = None
    #: Data migrations that must have completed before, by name.
    depends_on: ClassVar[Sequence[str]] = ()
    #: Schema migrations that must be applied before, as `("shop", "0003_prices")`.
    requires: ClassVar[Sequence[tuple[str, str]]] = ()
    #: Keep what every changed row was, so that a run can be reversed without any code.
    keep_old_values: ClassVar[bool] = False
    #: More failed records than this end the run; the input `max_errors` overrides it.
    max_errors: ClassVar[int] = 1_000
    #: A pause after each batch, in seconds; the input `pause` overrides it.
    pause_seconds: ClassVar[float] = 0.0

    @classmethod
    def throttle_if(cls) -> float | None:
        """Asked before each batch: seconds to wait until it is asked again, or None to go on."""
        return None

    @classmethod
    def can_reverse(cls) -> bool:
        return cls.keep_old_values or all(step.is_reversible() for step in cls.steps)
