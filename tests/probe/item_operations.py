"""Operations in the item form, named by what they do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from django.db.models import F, QuerySet
from rest_framework import serializers

from lro import ItemOperation, OperationContext, RejectItem, register

from .models import Mark, Named, Thing


# As quoted in docs/item-operations.md.
@register("probe.normalise-phones")
class NormalisePhones(ItemOperation):
    """Write every phone number in one form, and set aside those that are none."""

    max_rejects = 0.5  # at most half of all

    def items(self, **data: Any) -> QuerySet[Thing]:
        return Thing.objects.all()

    def process(self, thing: Thing) -> None:
        digits = re.sub(r"[ ()/-]", "", thing.text)
        if not re.fullmatch(r"\+?\d{6,15}", digits):
            raise RejectItem("no_phone_number", f"'{thing.text}' is no phone number.", column="text", raw=thing.text)
        thing.text = digits
        thing.save(update_fields=["text"])

    def describe(self, thing: Thing) -> str:  # what a dry run shows, before and after
        return thing.text


class Marking(ItemOperation):
    """Leaves a mark for each item; `hurt` is what a test does to it before an item."""

    batch_items = 5
    max_attempts = 50
    hurt: ClassVar[Callable[[Any, Any], object]] = staticmethod(lambda task, item: None)
    throttle: ClassVar[Callable[[], float | None]] = staticmethod(lambda: None)

    def process(self, item: Any) -> None:
        Mark.objects.create(item=str(getattr(item, "pk", item)))
        type(self).hurt(self, item)

    def throttle_if(self) -> float | None:
        return type(self).throttle()


@register("probe.marks-things")
class MarksThings(Marking):
    """Marks the rows of a queryset, and counts in each of them."""

    def items(self, **data: Any) -> QuerySet[Thing]:
        return Thing.objects.all()

    def process(self, item: Thing) -> None:
        item.touched += 1  # in memory: a batch that is tried again must begin with a fresh item
        item.save()
        super().process(item)

    def describe(self, item: Thing) -> dict[str, int]:
        return {"touched": item.touched}


@register("probe.marks-untouched")
class MarksUntouched(MarksThings):
    """Its rows leave the queryset as they are processed."""

    def items(self, **data: Any) -> QuerySet[Thing]:
        return Thing.objects.filter(touched=0).reverse()


@register("probe.marks-locked")
class MarksLocked(MarksThings):
    def items(self, **data: Any) -> QuerySet[Thing]:
        return Thing.objects.select_for_update()


@register("probe.marks-named")
class MarksNamed(Marking):
    def items(self, **data: Any) -> QuerySet[Named]:
        return Named.objects.all()


@register("probe.marks-list")
class MarksList(Marking):
    def items(self, *, to: int, **data: Any) -> range:
        return range(to)


@register("probe.marks-stream")
class MarksStream(Marking):
    """A generator of changeable items, of which nobody knows how many will come."""

    def items(self, *, to: int, **data: Any) -> Iterator[list[int]]:
        return ([index] for index in range(to))

    def process(self, item: list[int]) -> None:
        Mark.objects.create(item=str(item[0]))
        type(self).hurt(self, item[0])
        item[0] += 1_000_000


@register("probe.marks-few-rejects")
class MarksFewRejects(MarksList):
    max_rejects = 2


class StampsInput(serializers.Serializer[Any]):
    to = serializers.IntegerField()


@register("probe.stamps")
class Stamps(MarksList):
    """Has an input of its own, which it rewrites."""

    input_serializer = StampsInput

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        return {"to": data["to"] + 1}


@register("probe.walks")
class Walks(ItemOperation):
    """Counts in each row, in short batches, and sets every tenth aside; each attempt hangs at the row named for it."""

    batch_items = 20
    batch_seconds = 0.1

    def items(self, **data: Any) -> QuerySet[Thing]:
        return Thing.objects.all()

    def run(self, op: OperationContext, *args: Any, hangs_at: list[int], **data: Any) -> Any:
        self.hangs_at = dict(enumerate(hangs_at, 1)).get(op.attempt)
        return super().run(op, **data)

    def process(self, thing: Thing) -> None:
        if thing.pk == self.hangs_at:
            time.sleep(3600)
        Thing.objects.filter(pk=thing.pk).update(touched=F("touched") + 1)
        if thing.pk % 10 == 0:
            raise RejectItem("tenth", "It is a tenth one.")
