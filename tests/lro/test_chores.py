"""What an app has to clean up is done by the reconcilers of all workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured

from lro import chore
from lro.models import Duty
from lro.runtime import reconciler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dust() -> Iterator[list[str]]:
    """What the chore `sweep_dust` finds."""
    heap: list[str] = []

    def sweep_dust() -> int:
        found = len(heap)
        heap.clear()
        return found

    assert chore(sweep_dust) is sweep_dust
    yield heap
    reconciler.CHORES.remove(sweep_dust)


def test_a_chore_is_done_in_every_round_and_counted_where_there_was_something(dust: list[str]) -> None:
    assert reconciler.reconcile()["sweep_dust"] == 0
    dust.extend(["a", "b"])
    assert reconciler.reconcile()["sweep_dust"] == 2
    assert reconciler.reconcile()["sweep_dust"] == 0
    assert Duty.objects.get(name="sweep_dust").done == 2


def test_a_chore_that_is_declared_again_is_done_once(dust: list[str]) -> None:
    known = next(each for each in reconciler.CHORES if each.__name__ == "sweep_dust")
    chore(known)
    assert [each.__name__ for each in reconciler.CHORES].count("sweep_dust") == 1


def test_two_chores_cannot_share_a_name(dust: list[str]) -> None:
    def sweep_dust() -> int:
        return 0

    sweep_dust.__module__ = "another.app"
    with pytest.raises(ImproperlyConfigured, match=r"two duties 'sweep_dust': in another\.app"):
        chore(sweep_dust)


def test_a_duty_that_raises_keeps_no_other_from_its_turn(dust: list[str]) -> None:
    dust.append("a grain")

    def stumble() -> int:
        raise ValueError("it stumbled")

    with pytest.raises(ValueError, match="it stumbled"):
        reconciler.reconcile([stumble, *reconciler.CHORES])
    assert dust == []
