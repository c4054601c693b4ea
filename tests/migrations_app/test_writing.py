"""Whatever a column holds is written as it is, compared as it was, and remembered so that it comes back."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrations_app import images, loading, writing
from migrations_app.arrays import is_one_value, literal
from migrations_app.batches import Batch
from migrations_app.declaration import Step
from migrations_app.tracking import Tracker, attributes
from tests.probe.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)


class Everything(models.Model):
    """One column of each kind."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    short = models.CharField(max_length=10, null=True)
    text = models.TextField(default="")
    small = models.SmallIntegerField(null=True)
    big = models.BigIntegerField(null=True)
    number = models.FloatField(null=True)
    price = models.DecimalField(max_digits=12, decimal_places=3, null=True)
    flag = models.BooleanField(null=True)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    hour = models.TimeField(null=True)
    span = models.DurationField(null=True)
    data = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        app_label = "probe"
        managed = False

    def __str__(self) -> str:
        return str(self.pk)


@pytest.fixture(scope="module")
def everything(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            editor.create_model(Everything)
        yield
        with connection.schema_editor() as editor:
            editor.delete_model(Everything)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
FINITE = st.floats(allow_nan=False, allow_infinity=True)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "short": st.none() | TEXT | st.sampled_from(["NULL", "{}", '"', "\\", "a,b", "{a}", "'", " ", "%s"]),
    "text": TEXT,
    "small": st.none() | st.integers(-(2**15), 2**15 - 1),
    "big": st.none() | st.integers(-(2**63), 2**63 - 1),
    "number": st.none() | FINITE,
    "price": st.none() | st.decimals(-999_999, 999_999, places=3),
    "flag": st.none() | st.booleans(),
    "day": st.none() | st.dates(),
    "moment": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)),
    "hour": st.none() | st.times(),
    "span": st.none() | st.timedeltas(timedelta(-9_999), timedelta(9_999)),
    "data": st.none()
    | st.dictionaries(TEXT, st.integers(-99, 99) | TEXT | st.booleans() | st.lists(st.integers(0, 9))),
    "raw": st.none() | st.binary(max_size=20),
    "address": st.none() | st.sampled_from(["10.0.0.1", "255.255.255.255"]),
}
ROW = st.fixed_dictionaries(VALUES)


def stored() -> dict[Any, dict[str, Any]]:
    return {row["id"]: {name: _plain(row[name]) for name in VALUES} for row in Everything.objects.values()}


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


class Nothing(Step):
    def process_batch(self, records: list[Any]) -> None: ...


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.tuples(ROW, ROW), min_size=1, max_size=6))
def test_every_kind_of_column_is_written_and_restored(everything: None, rows: list[Any]) -> None:
    with transaction.atomic():
        Everything.objects.all().delete()
        batch = Batch(Nothing({}), keeps_images=True)
        made = [Everything(**before) for before, _ in rows]
        batch.insert(made)
        before = {row.pk: values for row, (values, _) in zip(made, rows, strict=True)}
        assert stored() == before
        for row, (_, after) in zip(
            batch.fetch(Everything.objects.order_by("pk")), sorted_by_key(made, rows), strict=True
        ):
            for name, value in after.items():
                setattr(row, name, value)
        batch._flush([])
        changes = [storable(change) for change in batch.outcome.images]
        assert stored() == {row.pk: values for row, (_, values) in zip(made, rows, strict=True)}
        images.restore([change for change in changes if change["kind"] == "updated"])
        assert stored() == before
        batch.delete(list(Everything.objects.all()))
        assert stored() == {}
        images.restore([storable(batch.outcome.images[-1])])
        assert stored() == before
        images.restore([change for change in changes if change["kind"] == "inserted"])
        assert stored() == {}


def test_a_zero_that_lost_its_sign_in_between_is_still_what_was_inserted(everything: None) -> None:
    with transaction.atomic():
        Everything.objects.all().delete()
        batch = Batch(Nothing({}), keeps_images=True)
        batch.insert([Everything(number=-0.0)])
        batch._flush([])
        inserted = storable(batch.outcome.images[-1])
        batch.delete(list(Everything.objects.all()))
        images.restore([storable(batch.outcome.images[-1])])
        images.restore([inserted])
        assert stored() == {}


def sorted_by_key(made: list[Everything], rows: list[Any]) -> list[Any]:
    return [row for _, row in sorted(zip([each.pk for each in made], rows, strict=True), key=lambda pair: pair[0])]


def storable(change: dict[str, Any]) -> dict[str, Any]:
    """Through the JSON column that it is kept in."""
    from lro.storable import storable as as_json

    return dict(as_json(change, what="image", max_bytes=2**20))


@given(values=st.lists(st.none() | TEXT, max_size=20))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_array_of_text_is_what_the_database_reads(db: None, values: list[str | None]) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("no arrays")
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]", [literal(values)])
        assert cursor.fetchone()[0] == values


@pytest.mark.skipif("connection.vendor != 'postgresql'")
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [1, None, -(2**63)]),
        ("double precision", [1.5, math.inf, None, 1e-300]),
        ("boolean", [True, None, False]),
        ("numeric", [Decimal("1.10"), None]),
        ("date", [date(1, 1, 1), None]),
        ("time", [time(23, 59, 59, 999_999), None]),
        ("uuid", [uuid.UUID(int=7), None]),
        ("timestamptz", [datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC), None]),
        ("interval", [timedelta(days=-1, microseconds=5), None]),
        ("text", [None, None]),
    ],
)
def test_an_array_of_each_kind_is_what_the_database_reads(kind: str, values: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [literal(values)])
        assert cursor.fetchone()[0] == values


def test_a_column_of_one_value_is_known(db: None) -> None:
    assert is_one_value(["a", "a"])
    assert is_one_value([None, None])
    assert not is_one_value(["a", None])
    assert not is_one_value([{"a": 1}, {"a": 1}])


def test_a_row_is_written_only_where_the_old_value_stands(db: None) -> None:
    one, two = (Thing.objects.create(text=text) for text in ("a", "b"))
    keys = [one.pk, two.pk, two.pk + 1]
    assert writing.update(Thing, ["text"], keys, [["x", "y", "z"]], [["a", "not b", "c"]]) == 1
    assert writing.update_and_tell(Thing, ["text"], keys, [["p", "q", "r"]], [["x", "b", "c"]]) == {one.pk, two.pk}
    assert list(Thing.objects.order_by("pk").values_list("text", flat=True)) == ["p", "q"]


def test_inserted_rows_know_their_keys_and_a_late_one_is_noticed() -> None:
    from migrations_app.models import Company

    rows = [Company(name=name) for name in ("a", "b", "c")]
    writing.insert(rows)
    assert {row.name: row.pk for row in rows} == dict(Company.objects.values_list("name", "pk"))
    with pytest.raises(IntegrityError):
        writing.insert([Company(name="d"), Company(name="a")])
    if connection.vendor == "postgresql":
        with pytest.raises(writing.Stale):
            writing.insert([Company(name="e"), Company(name="a")], may_be_late=True)


def test_an_upsert_by_two_fields_may_be_of_many_rows(db: None) -> None:
    """SQLite takes no condition of more than a thousand alternatives."""
    rows = [Thing(text=f"thing {n}", touched=n) for n in range(1_200)]
    Thing.objects.bulk_create(rows[::2])
    with transaction.atomic():
        batch = Batch(Nothing({}))
        batch.upsert([Thing(text=row.text, touched=row.touched) for row in rows], ["text", "touched"], [])
    assert Thing.objects.count() == batch.outcome.written["probe.thing"]["inserted"] * 2 == 1_200


def test_an_upsert_writes_what_differs_and_answers_in_order(db: None) -> None:
    from migrations_app.models import Airport

    def airport(iata: str, name: str) -> Airport:
        return Airport(iata=iata, name=name, country="-", latitude=0, longitude=0)

    airport("A", "old").save()
    airport("B", "same").save()
    batch = Batch(Nothing({}))
    rows = batch.upsert([airport(*pair) for pair in ("Cx", "Ax", "Bx", "Cy")], ["iata"], ["name"])
    assert [row.iata for row in rows] == ["C", "A", "B", "C"]
    batch._flush([])
    assert dict(Airport.objects.values_list("iata", "name")) == {"A": "x", "B": "x", "C": "y"}
    assert batch.outcome.written["migrations_app.airport"] == {"inserted": 1, "updated": 2}
    by_two = batch.upsert([airport("A", "x"), airport("D", "new")], ["iata", "name"], [])
    assert Airport.objects.filter(pk__in=[row.pk for row in by_two]).count() == 2


def test_save_writes_rows_that_came_from_elsewhere(db: None) -> None:
    thing = Thing.objects.create(text="a")
    batch = Batch(Nothing({}))
    assert batch.save([Thing(pk=thing.pk, text="b", touched=9)], ["text"]) == 1
    assert batch.save([], ["text"]) == 0
    batch._flush([])
    assert Thing.objects.values_list("text", "touched").get() == ("b", 0)


# Records


def test_records_are_made_as_the_manager_makes_them(db: None) -> None:
    Thing.objects.create(text="a")
    records, befores = loading.load(Thing.objects.all())
    (usual,) = Thing.objects.all()
    assert records == [usual]
    assert records[0].__dict__.keys() == usual.__dict__.keys()
    assert (records[0]._state.db, records[0]._state.adding) == ("default", False)
    records[0].text = "b"
    records[0].save()
    assert befores == [(usual.pk, "a", 0)]


@pytest.mark.parametrize(
    "rows", [lambda: Thing.objects.annotate(n=models.Count("mark")), lambda: Thing.objects.only("text")]
)
def test_what_asks_for_more_or_less_is_made_by_django(db: None, rows: Any) -> None:
    Thing.objects.create(text="a")
    (record,), befores = loading.load(rows())
    assert (record.text, befores[0][1]) == ("a", "a")


def test_a_model_that_others_listen_to_is_made_by_django(db: None) -> None:
    heard: list[Any] = []

    def hear(instance: Any, **rest: Any) -> None:
        heard.append(instance)

    Thing.objects.create()
    models.signals.post_init.connect(hear, sender=Thing)
    try:
        loading.load(Thing.objects.all())
    finally:
        models.signals.post_init.disconnect(hear, sender=Thing)
    assert len(heard) == 1


def test_a_change_of_what_was_deferred_is_an_error(db: None) -> None:
    Thing.objects.create(text="a")
    tracker = Tracker()
    records, befores = loading.load(Thing.objects.only("text"))
    tracker.track(records, befores)
    records[0].touched = 3
    with pytest.raises(TypeError, match="'touched' was deferred"):
        list(tracker.changes(set()))


def test_a_change_within_a_json_value_is_seen(everything: None) -> None:
    row = Everything.objects.create(data={"a": [1]})
    records, befores = loading.load(Everything.objects.filter(pk=row.pk))
    tracker = Tracker()
    tracker.track(records, befores)
    records[0].data["a"].append(2)
    (change,) = tracker.changes(set())
    assert (change.names, change.old, change.new) == (("data",), [[{"a": [1]}]], [[{"a": [1, 2]}]])
    row.delete()


def test_changes_come_in_groups_of_the_same_attributes(db: None) -> None:
    Thing.objects.bulk_create(Thing() for _ in range(4))
    records, befores = loading.load(Thing.objects.order_by("pk"))
    tracker = Tracker()
    tracker.track(records, befores)
    records[0].text = records[1].text = "x"
    records[1].touched = records[2].touched = 1
    found = {change.names: list(change.records) for change in tracker.changes({id(records[2])})}
    assert found == {("text",): [records[0]], ("text", "touched"): [records[1]]}
    assert attributes(Thing) == ("id", "text", "touched")
