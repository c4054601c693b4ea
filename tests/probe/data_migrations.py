"""Data migrations named by what they do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from lro import RejectItem
from migrations_app import DataMigration, Step, data_migration

from .models import Mark, Thing


class Hurt(Step):
    """`hurt` is what a test does to it before a record or a batch."""

    hurt: ClassVar[Callable[[Any, Any], object]] = staticmethod(lambda step, record: None)

    def source(self) -> QuerySet[Thing]:
        return Thing.objects.all()


class Count(Hurt):
    """Adds one."""

    def process(self, thing: Thing) -> None:
        type(self).hurt(self, thing)
        thing.touched += 1

    def reverse(self, thing: Thing) -> None:
        thing.touched -= 1


@data_migration("probe.count")
class Counting(DataMigration):
    """Counts in each thing."""

    steps = (Count,)
    throttle: ClassVar[Callable[[], float | None]] = staticmethod(lambda: None)

    @classmethod
    def throttle_if(cls) -> float | None:
        """Also while a file is there, for the tests whose worker is another process."""
        signal = os.environ.get("LRO_TEST_THROTTLE", "")
        return 0.2 if signal and Path(signal).exists() else cls.throttle()


class Name(Hurt):
    """Writes a word into each thing."""

    def process_batch(self, records: list[Thing]) -> None:
        for thing in records:
            type(self).hurt(self, thing)
            thing.text = f"thing {thing.pk}"


class CountNamed(Count):
    after = (Name,)

    def process(self, thing: Thing) -> None:
        if not thing.text:
            raise RejectItem("no_name", "It has no name.", column="text")
        super().process(thing)


@data_migration("probe.name-and-count")
class NameAndCount(DataMigration):
    """Two steps, the second of which needs the first, with the old values kept."""

    steps = (CountNamed, Name)
    keep_old_values = True


class MarkEach(Hurt):
    """Inserts by itself, one after the other."""

    def process(self, thing: Thing) -> None:
        Mark.objects.create(item=str(thing.pk))
        type(self).hurt(self, thing)


@data_migration("probe.mark")
class Marks(DataMigration):
    """Leaves a mark for each thing."""

    steps = (MarkEach,)


class TextInput(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=5)
    times = serializers.IntegerField(default=1, max_value=9)


class Write(Hurt):
    def source(self) -> QuerySet[Thing]:
        return Thing.objects.exclude(text=self.parameters["text"])

    def process(self, thing: Thing) -> None:
        thing.text = self.parameters["text"] * self.parameters["times"]


@data_migration("probe.write")
class Writing(DataMigration):
    """Writes what it is told, after things were counted; it cannot be reversed."""

    steps = (Write,)
    parameters = TextInput
    depends_on = ("probe.count",)


# As quoted in docs/data-migrations.md.
class RoundPrices(Step):
    """Prices in whole tens."""

    def source(self) -> QuerySet[Thing]:
        return Thing.objects.filter(touched__gt=0)

    def process(self, thing: Thing) -> None:
        if thing.touched > 1_000:
            raise RejectItem("too_dear", f"{thing.touched} is no price.", column="touched")
        thing.touched = round(thing.touched, -1)


@data_migration("probe.round-prices")
class RoundAllPrices(DataMigration):
    """Round all prices to tens."""

    steps = (RoundPrices,)
    keep_old_values = True
