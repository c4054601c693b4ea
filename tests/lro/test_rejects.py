"""The rows of what was set aside hold what the author said, and all of a checkpoint's or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError

from lro.lifecycle import transitions
from lro.models import Operation
from lro.runtime import executor, submission
from lro.runtime.context import OperationContext

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]
_STRANGE = ["", r"\N", r"\.", "a\tb", "a\nb\r\n", '"quoted", and \\', "日本語 ✓", "NULL", "%s {} 'x'"]


@pytest.fixture
def context(alice: Any) -> Iterator[OperationContext]:
    operation = submission.submit("probe.saves", {"to": 1}, alice).operation
    held = transitions.claim(operation.pk, "w")
    assert held
    yield executor.Execution(held).context
    transitions.succeed(held, None, [])


def stored(context: OperationContext) -> Operation:
    return Operation.objects.get(pk=context.id)


def test_any_text_is_kept_as_it_came(context: OperationContext) -> None:
    for position, text in enumerate(_STRANGE):
        context.reject(position, "probe", text, column=text, raw=text, offset=None if position else 2**40)
    context.reject(len(_STRANGE), "probe", "a\0b", column="a\0b", raw="a\0b")
    context.checkpoint(1)
    operation = stored(context)
    rows = list(operation.rejects.order_by("position").values_list("message", "column", "raw"))
    assert rows == [(text, text, text) for text in [*_STRANGE, "a�b"]]
    assert operation.rejects.get(position=0).offset == 2**40
    assert operation.rejects.get(position=1).offset is None


def test_a_position_that_is_rejected_twice_leaves_nothing_of_its_checkpoint(context: OperationContext) -> None:
    context.reject(1, "probe", "once")
    context.reject(1, "probe", "twice")
    with pytest.raises(IntegrityError):
        context.checkpoint(1)
    operation = stored(context)
    assert (operation.rejected, operation.rejects.count(), operation.checkpoint) == (0, 0, None)
