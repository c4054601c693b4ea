"""The item form of an operation: say what the items are and what is done with one; the rest comes by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from rest_framework import serializers

from .context import OperationContext
from .item_run import ItemRun
from .operations import OperationTask
from .sources import count


class ItemOperation(OperationTask):
    """An operation on many items, in batches, each of which is one transaction. Define `items` and `process`.

    The input flag `dry_run` makes a run of which only progress, rejects and a sample stay. One instance lives for one
    attempt; `self.op` is its context.
    """

    unit: ClassVar[str] = "items"
    #: A batch ends after so many items, or so many seconds, whichever comes first.
    batch_items: ClassVar[int] = 1000
    batch_seconds: ClassVar[float] = 1.0
    pause_between_batches: ClassVar[float] = 0.0
    #: More rejects than this fail the operation: a number (int), or a share of all items (float).
    max_rejects: ClassVar[int | float | None] = None

    op: OperationContext

    def items(self, *args: Any, **data: Any) -> Iterable[Any]:
        """A queryset, or else a sequence or any iterable that gives the same items in the same order every time."""
        raise NotImplementedError(f"{type(self).__name__} must define items(self, …)")

    def process(self, item: Any) -> object:
        """Do what is to be done with one item, in the database only, as the whole batch may be rolled back and redone.

        Raise `RejectItem` to undo and set aside this item alone. Any other error ends the attempt.
        """
        raise NotImplementedError(f"{type(self).__name__} must define process(self, item)")

    def count(self, *args: Any, **data: Any) -> int | None:
        """How many items there are, asked once in an operation; None if that is not known."""
        return count(self.items(**data))

    def throttle_if(self) -> float | None:
        """Asked before each batch: seconds to wait until it is asked again, or None to go on."""
        return None

    def describe(self, item: Any) -> Any:
        """What a dry run shows of an item, before and after, as JSON data."""
        return None

    def run(self, op: OperationContext, *args: Any, **data: Any) -> Any:
        self.op = op
        is_dry = data.pop("dry_run", False) is not False
        return ItemRun(self, op, data, is_dry).run()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _check_numbers(cls)
        if cls.input_serializer is not None:
            cls.input_serializer = _with_dry_run(cls.input_serializer)
        if not hasattr(cls.prepare, "keeps_dry_run"):
            cls.prepare = _keeping_dry_run(cls.prepare)  # type: ignore[method-assign]


def _check_numbers(cls: type[ItemOperation]) -> None:
    limit = cls.max_rejects
    if isinstance(limit, float) and not 0 <= limit <= 1:
        raise ImproperlyConfigured(f"{cls.__name__}.max_rejects is {limit}; a share is a float from 0 to 1.")
    if cls.batch_items < 1 or cls.batch_seconds < 0 or (limit is not None and limit < 0):
        raise ImproperlyConfigured(f"{cls.__name__}: a batch has at least one item, and no limit is negative.")


def _with_dry_run(serializer: type[serializers.Serializer[Any]]) -> type[serializers.Serializer[Any]]:
    """The author's serializer would drop the flag silently, and the run would be a real one."""
    if issubclass(serializer, DryRunInput):
        return serializer
    return type(serializer.__name__, (DryRunInput, serializer), {"__doc__": serializer.__doc__})


class DryRunInput(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        flag = serializers.BooleanField(default=False, help_text="Try it: everything is done, and rolled back again.")
        return {**super().get_fields(), "dry_run": flag}


def _keeping_dry_run(prepare: Any) -> Any:
    """However the author rewrites the input, the flag stays in it."""
    original: Callable[..., dict[str, Any]] = prepare.__func__

    def kept(cls: type[ItemOperation], data: dict[str, Any], owner: Any) -> dict[str, Any]:
        prepared = original(cls, data, owner)
        if "dry_run" not in data:
            return prepared
        return {**prepared, "dry_run": serializers.BooleanField().run_validation(data["dry_run"])}

    kept.keeps_dry_run = True  # type: ignore[attr-defined]
    return classmethod(kept)
