"""The shipped examples, each a pattern that every project needs once."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from rest_framework import serializers

from lro import RejectItem
from lro.datasets import DatasetField

from . import contacts
from .declaration import DataMigration, Step
from .models import Airport, Company, ContactImport, Person
from .recipes import LoadDataset
from .registry import data_migration


class LinkCompanies(Step):
    """Make a company of each different name, and let the contacts point to it."""

    can_shard = False  # two shards would make the same company

    def source(self) -> QuerySet[ContactImport]:
        return ContactImport.objects.exclude(company_name="").filter(company=None)

    def process_batch(self, records: list[ContactImport]) -> None:
        wanted = [Company(name=contacts.normal_company(record.company_name)) for record in records]
        for record, company in zip(records, self.upsert(wanted, key=["name"]), strict=True):
            record.company_id = company.pk


class SplitPeople(Step):
    """Make a person of each contact, of the company that it was linked to."""

    after = (LinkCompanies,)

    def source(self) -> QuerySet[ContactImport]:
        return ContactImport.objects.filter(person=None)

    def process_batch(self, records: list[ContactImport]) -> None:
        pairs = [(record, person) for record in records if (person := self._person(record)) is not None]
        self.insert([person for _, person in pairs])
        for record, person in pairs:
            record.person_id = person.pk

    def _person(self, record: ContactImport) -> Person | None:
        email = contacts.normal_email(record.email)
        first, last = contacts.split_name(record.full_name)
        if email is None:
            self.reject(record, "no_email", f"'{record.email}' is no e-mail address.", column="email")
        elif not last:
            self.reject(record, "no_name", "The contact has no name.", column="full_name")
        else:
            phone = contacts.normal_phone(record.phone)
            return Person(first_name=first, last_name=last, email=email, phone=phone, company_id=record.company_id)
        return None


@data_migration("contacts.split")
class SplitContacts(DataMigration):
    """Split imported contacts into people and companies."""

    steps = (LinkCompanies, SplitPeople)
    requires = (("migrations_app", "0001_initial"),)
    keep_old_values = True


class FillSearchName(Step):
    """First and last name in lower case, to search for."""

    def source(self) -> QuerySet[Person]:
        return Person.objects.all()

    def process(self, person: Person) -> None:
        person.search_name = contacts.search_name(person.first_name, person.last_name)
        if not person.search_name:
            raise RejectItem("no_name", "The person has no name.", column="last_name")

    def reverse(self, person: Person) -> None:
        person.search_name = ""


@data_migration("contacts.fill-search-name")
class FillSearchNames(DataMigration):
    """Backfill a column that is computed from others."""

    steps = (FillSearchName,)


class MergeInto(Step):
    """Let what points to a duplicate point to the person with the lowest key, and delete the duplicate."""

    can_shard = False

    def source(self) -> QuerySet[Person]:
        earlier = Person.objects.filter(email=OuterRef("email"), pk__lt=OuterRef("pk"))
        return Person.objects.filter(Exists(earlier))

    def process_batch(self, duplicates: list[Person]) -> None:
        keepers: dict[str, Person] = {}
        for person in self.fetch(Person.objects.filter(email__in=[p.email for p in duplicates]).order_by("pk")):
            keepers.setdefault(person.email, person)
        by_key = {person.pk: keepers[person.email] for person in duplicates}
        for record in self.fetch(ContactImport.objects.filter(person__in=list(by_key))):
            record.person_id = by_key[record.person_id].pk
        for person in duplicates:
            keeper = by_key[person.pk]
            keeper.phone = keeper.phone or person.phone
            keeper.company_id = keeper.company_id or person.company_id
        self.delete(duplicates)


@data_migration("contacts.merge-duplicates")
class MergeDuplicates(DataMigration):
    """Merge people with one e-mail address, and keep what only the duplicate knew."""

    steps = (MergeInto,)
    depends_on = ("contacts.split",)
    keep_old_values = True


class DatasetInput(serializers.Serializer[Any]):
    dataset = DatasetField(help_text="The id of a dataset.")


class LoadAirports(LoadDataset):
    """A row for each airport, by its IATA code."""

    model = Airport
    key = ("iata",)
    columns = {
        "iata": "iata",
        "name": "name",
        "city": "city",
        "state": "state",
        "country": "country",
        "latitude": "latitude",
        "longitude": "longitude",
    }


@data_migration("airports.load")
class LoadAirportsFromDataset(DataMigration):
    """Load a dataset of airports: new ones are inserted, known ones are updated."""

    steps = (LoadAirports,)
    parameters = DatasetInput
    keep_old_values = True
