"""A reverse restores every value: from what the run kept, or by the steps' own `reverse`."""

from __future__ import annotations

from typing import Any

import pytest

from lro import Problem
from lro.testing import crash_after, pause_after
from migrations_app.data_migrations import MergeDuplicates, MergeInto
from migrations_app.models import Airport, BeforeImage, Company, ContactImport, Person, Run
from tests.migrations_app.digest import digest
from tests.migrations_app.runs import HISTORY, finish, fresh, kinds, run
from tests.probe.data_migrations import NameAndCount
from tests.probe.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]


@pytest.mark.parametrize("crashes", [0, 1, 3])
def test_what_was_kept_restores_every_value(
    clerk: Any, things: Any, small_batches: None, crashes: int, settings: Any
) -> None:
    settings.LRO = {"MAX_CRASHES": 100}
    things(23)
    Thing.objects.filter(pk__gt=Thing.objects.first().pk + 9).update(touched=7, text="before")  # type: ignore[union-attr]
    before = digest(without=HISTORY)
    first = run(clerk, "probe.name-and-count")
    assert digest(without=HISTORY) != before
    with crash_after(checkpoints=2, times=crashes):
        back = run(clerk, "probe.name-and-count", reverse=str(first.pk))
    assert (back.state, back.result["kind"], back.result["changed"]) == ("succeeded", "reverse", 46)
    assert digest(without=HISTORY) == before


def test_a_run_that_was_stopped_is_reversed_as_far_as_it_came(clerk: Any, things: Any, small_batches: None) -> None:
    from lro.runtime import control

    things(23)
    before = digest(without=HISTORY)
    with pause_after(checkpoints=4):
        first = run(clerk, "probe.name-and-count")
    control.act("cancel", first.pk, "alice")
    assert digest(without=HISTORY) != before
    run(clerk, "probe.name-and-count", reverse=str(first.pk))
    assert digest(without=HISTORY) == before


def test_the_retries_of_rejected_records_are_reversed_with_their_run(
    clerk: Any, things: Any, small_batches: None, hurting: Any
) -> None:
    keys = things(12)
    before = digest(without=HISTORY)

    def hurt(step: Any, thing: Thing) -> None:
        if thing.pk in keys[::3]:
            raise ValueError("bad")

    hurting(hurt)
    first = run(clerk, "probe.name-and-count")
    hurting(lambda step, thing: None)
    run(clerk, "probe.name-and-count", retry_rejects=str(first.pk))
    assert set(Thing.objects.values_list("touched", flat=True)) == {1}
    run(clerk, "probe.name-and-count", reverse=str(first.pk))
    assert digest(without=HISTORY) == before


def test_what_was_changed_since_is_left_as_it_is_and_named(clerk: Any, things: Any) -> None:
    keys = things(4)
    first = run(clerk, "probe.name-and-count")
    Thing.objects.filter(pk=keys[2]).update(text="of another")
    back = run(clerk, "probe.name-and-count", reverse=str(first.pk))
    assert [(row.code, row.raw) for row in back.rejects.all()] == [("changed_since", f"name probe.thing {keys[2]}")]
    assert dict(Thing.objects.values_list("pk", "text")) == {**dict.fromkeys(keys, ""), keys[2]: "of another"}
    assert back.result["failed"] == 1


def test_steps_that_have_a_reverse_are_done_backwards(clerk: Any, things: Any, small_batches: None) -> None:
    things(12)
    first = run(clerk, "probe.count")
    back = run(clerk, "probe.count", reverse=str(first.pk))
    assert (back.state, back.result["changed"]) == ("succeeded", 12)
    assert set(Thing.objects.values_list("touched", flat=True)) == {0}
    assert not BeforeImage.objects.exists()


def test_what_was_kept_goes_with_the_operation_and_the_history_stays(clerk: Any, things: Any) -> None:
    from lro.runtime import pruner

    things(3)
    operation = run(clerk, "probe.name-and-count")
    assert BeforeImage.objects.filter(run_id=operation.pk).exists()
    pruner.delete(operation)
    assert not BeforeImage.objects.exists()
    assert Run.objects.get().state == "succeeded"
    with pytest.raises(Problem, match="kept no old values"):
        run(clerk, "probe.name-and-count", reverse=str(operation.pk))


def test_where_all_that_was_made_was_changed_since_nothing_is_deleted(clerk: Any) -> None:
    contacts(8)
    first = run(clerk, "contacts.split")
    run(clerk, "contacts.fill-search-name")
    kept = sorted(Person.objects.values_list("pk", "search_name"))
    back = run(clerk, "contacts.split", reverse=str(first.pk))
    assert back.state == "succeeded", back.error
    assert sorted(Person.objects.values_list("pk", "search_name")) == kept
    named = set(back.rejects.filter(raw__contains="migrations_app.person").values_list("raw", flat=True))
    assert named == {f"split-people migrations_app.person {pk}" for pk, _ in kept}
    assert not ContactImport.objects.exclude(person=None).exists()


# Rows that were made and deleted


def contacts(count: int) -> None:
    ContactImport.objects.bulk_create(
        ContactImport(
            full_name=f"First{n} Last{n}",
            email=f" Person{n % 7}@Example.org ",
            phone=f"+49 ({n}) 1" if n % 3 else "",
            company_name=("Acme", "Acme  ", "Umbrella", "")[n % 4],
        )
        for n in range(count)
    )


def test_rows_that_were_made_and_deleted_come_back_as_they_were(clerk: Any) -> None:
    contacts(40)
    before = digest(without=HISTORY)
    split = run(clerk, "contacts.split")
    assert split.state == "succeeded", split.error
    between = digest(without=HISTORY)
    merged = run(clerk, "contacts.merge-duplicates")
    assert (merged.result["changed"], Person.objects.count()) == (33, 7)
    run(clerk, "contacts.merge-duplicates", reverse=str(merged.pk))
    assert digest(without=HISTORY) == between
    run(clerk, "contacts.split", reverse=str(split.pk))
    assert digest(without=HISTORY) == before


def test_a_row_that_others_point_to_by_now_stays(clerk: Any) -> None:
    contacts(8)
    split = run(clerk, "contacts.split")
    acme = Company.objects.get(name="Acme")
    late = ContactImport.objects.create(full_name="Late", email="late@example.org", company=acme)
    back = run(clerk, "contacts.split", reverse=str(split.pk))
    assert back.state == "succeeded", back.error
    assert [row.code for row in back.rejects.all()] == ["changed_since"]
    assert list(Company.objects.values_list("name", flat=True)) == ["Acme"]
    assert fresh_company(late) == acme.pk


def test_a_row_that_was_made_and_edited_since_stays(clerk: Any) -> None:
    contacts(8)
    split = run(clerk, "contacts.split")
    edited = Person.objects.get(last_name="Last2")
    Person.objects.filter(pk=edited.pk).update(phone="of another")
    back = run(clerk, "contacts.split", reverse=str(split.pk))
    assert back.state == "succeeded", back.error
    assert list(Person.objects.values_list("pk", "phone")) == [(edited.pk, "of another")]
    assert list(Company.objects.values_list("pk", flat=True)) == [edited.company_id]  # to which it still points
    kept = {f"migrations_app.person {edited.pk}", f"migrations_app.company {edited.company_id}"}
    assert {row.raw.partition(" ")[2] for row in back.rejects.all()} == kept
    assert {row.code for row in back.rejects.all()} == {"changed_since"}


def test_a_deleted_row_that_another_has_taken_the_place_of_stays_away(clerk: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(MergeDuplicates, "depends_on", ())
    monkeypatch.setattr(MergeInto, "source", lambda step: Airport.objects.filter(iata__in=["AAA", "BBB", "CCC"]))
    monkeypatch.setattr(MergeInto, "process_batch", lambda step, records: step.delete(records))
    for iata in ("AAA", "BBB", "CCC"):
        Airport.objects.create(iata=iata, name=f"first {iata}", country="X", latitude=1.5, longitude=2)
    merged = run(clerk, "contacts.merge-duplicates")
    assert not Airport.objects.exists(), list(merged.rejects.values_list("code", "message"))
    Airport.objects.create(iata="BBB", name="another", country="X", latitude=1, longitude=2)
    back = run(clerk, "contacts.merge-duplicates", reverse=str(merged.pk))
    assert back.state == "succeeded", back.error
    assert [row.code for row in back.rejects.all()] == ["changed_since"]
    found = Airport.objects.order_by("iata").values_list("name", flat=True)
    assert list(found) == ["first AAA", "another", "first CCC"]


def test_rows_come_back_though_one_of_them_may_not(clerk: Any) -> None:
    """They point to one another, so that one may have to wait for the other."""
    contacts(20)
    split = run(clerk, "contacts.split")
    merged = run(clerk, "contacts.merge-duplicates")
    taken = ContactImport.objects.exclude(pk__in=ContactImport.objects.filter(person=None)).last()
    assert taken is not None
    Person.objects.create(pk=max(person_keys(merged)), last_name="Taken", email="taken@example.org")
    back = run(clerk, "contacts.merge-duplicates", reverse=str(merged.pk))
    assert back.state == "succeeded", back.error
    assert {row.code for row in back.rejects.all()} == {"changed_since"}
    assert Person.objects.count() == 20
    assert split.state == "succeeded"


def person_keys(operation: Any) -> list[int]:
    """Of the people that it deleted."""
    images = BeforeImage.objects.filter(run_id=operation.pk).values_list("changes", flat=True)
    return [key for changes in images for change in changes if change["kind"] == "deleted" for key in change["keys"]]


def test_a_reverse_is_throttled_as_the_run_is(clerk: Any, things: Any, monkeypatch: Any) -> None:
    things(3)
    first = run(clerk, "probe.name-and-count")
    waits = iter([0.01, None])
    monkeypatch.setattr(NameAndCount, "throttle_if", classmethod(lambda cls: next(waits, None)))
    back = run(clerk, "probe.name-and-count", reverse=str(first.pk))
    assert kinds(back) == ["throttled", "completed"]


def fresh_company(contact: ContactImport) -> Any:
    return ContactImport.objects.get(pk=contact.pk).company_id


def test_a_merge_is_asked_for_after_the_split(clerk: Any) -> None:
    assert MergeDuplicates.depends_on == ("contacts.split",)
    with pytest.raises(Problem, match=r"Run the data migration contacts\.split first"):
        run(clerk, "contacts.merge-duplicates")


def test_a_reverse_may_be_paused_like_any_run(clerk: Any, things: Any, small_batches: None, monkeypatch: Any) -> None:
    from lro.runtime import control
    from migrations_app import reversing

    monkeypatch.setattr(reversing, "_ENOUGH_SECONDS", 0.0001)
    things(23)
    before = digest(without=HISTORY)
    first = run(clerk, "probe.name-and-count")
    with pause_after(checkpoints=3):
        back = run(clerk, "probe.name-and-count", reverse=str(first.pk))
    assert fresh(back).state == "paused"
    control.act("resume", back.pk, "alice")
    assert finish(back).state == "succeeded"
    assert digest(without=HISTORY) == before
