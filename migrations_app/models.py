"""What was run and what it changed; and the records that the shipped examples work on."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Run(models.Model):
    """One run of a data migration that was no dry run, kept longer than its operation, whose id is its own.

    `state` is the operation's last one, written when the run ends, and once more when its operation is deleted.
    """

    operation_id = models.UUIDField(primary_key=True, editable=False)
    migration = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in ("run", "retry", "reverse")])
    of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="followers")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    steps = models.JSONField(default=list)
    parameters = models.JSONField(default=dict)
    is_whole = models.BooleanField(default=True)  # all steps were asked for
    code = models.CharField(max_length=64)  # the fingerprint of the migration as it was started
    confirmed_code = models.CharField(max_length=64, blank=True, default="")  # that it may go on with
    confirmed_by = models.CharField(max_length=200, blank=True, default="")
    state = models.CharField(max_length=12, default="running")
    result = models.JSONField(null=True, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = models.Manager()

    class Meta:
        ordering = ["-operation_id"]
        indexes = [models.Index(fields=["migration", "-operation_id"], name="migrations_by_name")]
        permissions = [("run_migration", "Can run data migrations")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.migration}"


class BeforeImage(models.Model):
    """What the records of one batch were before it: as many as it changed, in one row.

    `changes` is a list of `{"kind", "model", "fields", "keys", "old", "new"}` in the order of the writes; `old` and
    `new` have a column of values for each field.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="images")
    step = models.CharField(max_length=100)
    records = models.PositiveIntegerField()
    changes = models.JSONField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.records} records before {self.step}"


# What the examples of `data_migrations.py` work on


class Company(models.Model):
    name = models.CharField(max_length=200, unique=True)

    def __str__(self) -> str:
        return self.name


class Person(models.Model):
    first_name = models.CharField(max_length=100, blank=True, default="")
    last_name = models.CharField(max_length=100)
    email = models.CharField(max_length=254, db_index=True)
    phone = models.CharField(max_length=40, blank=True, default="")
    company = models.ForeignKey(Company, null=True, blank=True, on_delete=models.PROTECT, related_name="people")
    search_name = models.CharField(max_length=250, blank=True, default="")

    class Meta:
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()


class ContactImport(models.Model):
    """One contact as somebody sent it: everything in one row, in whatever form."""

    full_name = models.CharField(max_length=250)
    email = models.CharField(max_length=254)
    phone = models.CharField(max_length=60, blank=True, default="")
    company_name = models.CharField(max_length=200, blank=True, default="")
    company = models.ForeignKey(Company, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    person = models.ForeignKey(Person, null=True, blank=True, on_delete=models.SET_NULL, related_name="imports")

    def __str__(self) -> str:
        return self.full_name


class Airport(models.Model):
    iata = models.CharField(max_length=4, unique=True)
    name = models.CharField(max_length=200)
    city = models.CharField(max_length=100, blank=True, default="")
    state = models.CharField(max_length=10, blank=True, default="")
    country = models.CharField(max_length=100)
    latitude = models.FloatField()
    longitude = models.FloatField()

    def __str__(self) -> str:
        return f"{self.iata} {self.name}"
