"""What is wrong with a declaration is said at start-up."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from migrations_app import DataMigration, Step, checks, data_migration, planning, registry
from tests.probe.models import Thing


class Good(Step):
    def source(self) -> Any:
        return Thing.objects.all()

    def process(self, record: Any) -> None: ...


class Later(Good):
    after = (Good,)


class Last(Good):
    after = (Later, Good)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_classes", {})


def declared(name: str = "test.one", **attributes: Any) -> type[DataMigration]:
    cls = type("Declared" + name.replace(".", ""), (DataMigration,), {"steps": (Good,), **attributes})
    return data_migration(name)(cls)


def found() -> list[tuple[str, str]]:
    return [(str(message.id).partition(".")[2], message.msg) for message in checks.check_data_migrations(None)]


def test_a_good_one_is_passed_over() -> None:
    declared(steps=(Last, Good, Later))
    assert found() == []


def test_steps_are_ordered_by_what_they_come_after() -> None:
    assert planning.ordered((Last, Later, Good)) == [Good, Later, Last]
    assert planning.before(Last) == [Good, Later]
    assert [step.name for step in planning.chosen(declared(steps=(Last, Good, Later)), ["last", "good"])] == [
        "good",
        "last",
    ]


def test_steps_in_a_circle_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Good, "after", (Later,))
    declared(steps=(Good, Later))
    ((code, message),) = found()
    assert code == "E001"
    assert "good → later → good" in message or "later → good → later" in message


def test_migrations_in_a_circle_are_named() -> None:
    declared("test.one", depends_on=("test.two",))
    declared("test.two", depends_on=("test.one",))
    assert [code for code, _ in found()] == ["E001"]


@pytest.mark.parametrize(
    ("code", "attributes"),
    [
        ("E002", {"steps": ()}),
        ("E003", {"steps": (Good, type("Good", (Good,), {}))}),
        ("E004", {"depends_on": ("no.such",)}),
        ("E005", {"requires": (("probe", "0999_no_such"),)}),
        ("E005", {"requires": (("no_app", "0001_initial"),)}),
        ("E006", {"steps": (type("Empty", (Step,), {"process": lambda self, record: None}),)}),
        ("E006", {"steps": (type("Idle", (Step,), {"source": lambda self: None}),)}),
        ("E007", {"steps": (Later,)}),
        ("E008", {"steps": (type("Blank", (Good,), {"name": "a b"}),)}),
        ("E008", {"steps": (type("Long", (Good,), {"name": "a" * 101}),)}),
        ("W001", {"steps": (Good, type("Back", (Good,), {"reverse": lambda self, record: None}))}),
    ],
)
def test_each_mistake_has_a_number(code: str, attributes: dict[str, Any]) -> None:
    declared(**attributes)
    assert [each for each, _ in found()] == [code]


def test_a_name_is_one_word_of_each_and_declared_once() -> None:
    with pytest.raises(ImproperlyConfigured, match="no name of a data migration"):
        data_migration("Test One")
    declared()
    with pytest.raises(ImproperlyConfigured, match="declared twice"):
        data_migration("test.one")(type("Other", (DataMigration,), {}))
    declare = data_migration("test.two")
    declare(type("Same", (DataMigration,), {"__module__": "shop.data_migrations"}))
    with pytest.raises(ImproperlyConfigured, match="declared twice"):
        declare(type("Same", (DataMigration,), {"__module__": "stock.data_migrations"}))


def test_the_fingerprint_is_of_the_migration_its_steps_and_their_bases() -> None:
    from tests.probe.data_migrations import Counting, Marks

    assert planning.fingerprint(Counting) == planning.fingerprint(Counting) != planning.fingerprint(Marks)
    classes = {cls.__name__ for cls in planning._own_classes(Counting)}
    assert classes == {"Counting", "Count", "Hurt"}


def test_a_step_is_named_after_its_class() -> None:
    assert type("LinkAllCompanies", (Step,), {}).name == "link-all-companies"
