"""Tables that one operation made and others read: modules hand over an id, and never import each other.

The app that keeps the tables says how one is found (`provide`). An operation takes an id by a `DatasetField`, carries
`tag(id)` among its tags, and reads the table in `run` (`load`); so it is known who still needs it (`readers`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from rest_framework import serializers

from .exceptions import Fail, Problem
from .models import Operation
from .models.querysets import OperationQuerySet


class Dataset(Protocol):
    """A table in parts, which is never changed once it is ready."""

    @property
    def id(self) -> UUID: ...
    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def sha256(self) -> str:
        """Of what it was made from."""

    @property
    def columns(self) -> list[dict[str, str]]:
        """`{"name", "type"}` of each; the types are string, integer, number, boolean, date, datetime."""

    @property
    def part_rows(self) -> list[int]:
        """How many rows each part has, in the order of the rows."""

    @property
    def is_ready(self) -> bool: ...
    def is_visible_to(self, user: Any) -> bool: ...
    def read(self, part: int, columns: Sequence[str] | None = None) -> Any:
        """One part as a `pyarrow.Table` with the columns' types (int64, float64, date32, timestamp without zone).

        In a worker only: pyarrow may not be used before a worker forks.
        """

    def read_frame(self, parts: Sequence[int], columns: Sequence[str] | None = None) -> Any:
        """Some parts, one below the other, as a `polars.DataFrame`: of the same types, and read in half the time.

        In a worker only.
        """


Finder = Callable[[UUID], Dataset | None]
_finders: list[Finder] = []


def provide(finder: Finder) -> None:
    """Say how a dataset is found by its id, in an app's `ready`."""
    if finder not in _finders:
        _finders.append(finder)


def find(identifier: UUID | str) -> Dataset | None:
    found = (finder(UUID(str(identifier))) for finder in _finders)
    return next((dataset for dataset in found if dataset is not None), None)


def load(identifier: UUID | str) -> Dataset:
    """The dataset, in `run`. Raises `Fail` where it was deleted meanwhile."""
    dataset = find(identifier)
    if dataset is None:
        raise Fail("dataset_gone", f"The dataset {identifier} was deleted.")
    return dataset


def tag(identifier: UUID | str) -> str:
    """The tag of every operation that reads the dataset, as `GET /operations/?tag=` takes it."""
    return f"dataset:{identifier}"


def readers(identifier: UUID | str) -> OperationQuerySet:
    """Operations under way that read the dataset: while there are any, it must not be deleted."""
    operations: OperationQuerySet = Operation.objects.active().tagged(tag(identifier))
    return operations


class DatasetField(serializers.UUIDField):
    """The id of a ready dataset that the caller may see, as text."""

    def to_internal_value(self, data: Any) -> Any:
        identifier = super().to_internal_value(data)
        dataset = find(identifier)
        if dataset is None or not dataset.is_visible_to(self.context.get("owner")):
            raise self._problem(422, "unknown_dataset", f"There is no dataset {identifier}.")
        if not dataset.is_ready:
            raise self._problem(409, "dataset_not_ready", f"The dataset {dataset.name} is still being imported.")
        return str(identifier)

    def _problem(self, status: int, code: str, message: str) -> Problem:
        return Problem(status, code, message, [{"pointer": f"/{self.field_name}", "message": message}])
