"""What a person sent, and the dataset that came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models
from django.db.models.functions import Now
from django.utils.functional import cached_property

from lro.models.operation import uuid7

from . import tus


class OwnedQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> OwnedQuerySet:
        if user.has_perm("lro.view_all_operations"):
            return self
        return self.filter(owner=user)


class Upload(models.Model):
    """A file as it was received: stored under a name of ours, outside every served folder."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="uploads")
    filename = models.CharField(max_length=255)  # as the sender called it; shown, never used as a path
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[Any] = OwnedQuerySet.as_manager()

    def __str__(self) -> str:
        return self.filename

    @property
    def path(self) -> Path:
        return Path(default_storage.path(f"uploads/{self.pk}"))


class ResumableUpload(models.Model):
    """A file that arrives in as many requests as it takes: the first `offset` bytes of it are durable.

    What stands in its file beyond them does not count. It stays for a while after its end, to be imported.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="resumable_uploads")
    length = models.PositiveBigIntegerField(null=True, blank=True)  # None: the sender does not know it yet
    offset = models.PositiveBigIntegerField(default=0)
    metadata = models.TextField(blank=True, default="")  # as it was sent
    sha256 = models.CharField(max_length=64, blank=True, default="")  # once it is whole
    operation_id = models.UUIDField(null=True, blank=True)  # the import that its metadata asked for
    wanted_at = models.DateTimeField(null=True, blank=True)  # another request waits for the one that is at it
    expires_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[Any] = OwnedQuerySet.as_manager()

    def __str__(self) -> str:
        return self.facts.get("filename") or str(self.pk)

    @cached_property
    def facts(self) -> dict[str, str]:
        """What the metadata says."""
        return tus.parse_metadata(self.metadata)

    @property
    def path(self) -> Path:
        return Path(default_storage.path(f"incoming/{self.pk}"))

    @property
    def is_whole(self) -> bool:
        return self.offset == self.length


class Dataset(models.Model):
    """A table in Parquet parts. `columns` names each column and the type that all its cells fit.

    A column whose type was declared, or whose file has types, is stored in that type, every other one as text: no
    guess loses anything. A part may lack a column, or hold it in a narrower type: `read` gives what `columns` says.

    It belongs to what made it by `operation_id`, and is complete once `ready_at` is set.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="datasets")
    operation_id = models.UUIDField(unique=True)
    name = models.CharField(max_length=255)
    columns = models.JSONField(default=list)
    rows = models.PositiveBigIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64)  # of the source
    created_at = models.DateTimeField(db_default=Now())
    ready_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = OwnedQuerySet.as_manager()

    class Meta:
        permissions = [("publish_dataset", "Can publish datasets as tables of the database")]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        return Path(default_storage.path(f"datasets/{self.pk}"))

    @classmethod
    def find(cls, pk: UUID) -> Dataset | None:
        found: Dataset | None = cls.objects.filter(pk=pk).first()
        return found

    @property
    def is_ready(self) -> bool:
        return self.ready_at is not None

    def is_visible_to(self, user: Any) -> bool:
        return bool(type(self).objects.visible_to(user).filter(pk=self.pk).exists())

    @property
    def part_rows(self) -> list[int]:
        return list(self.parts.values_list("rows", flat=True))

    def read(self, part: int, columns: Sequence[str] | None = None) -> Any:
        """One part as a `pyarrow.Table` with the columns' types."""
        from .parts import read_part

        paths, types = self._known
        return read_part(paths[part], types, columns)

    def read_frame(self, parts: Sequence[int], columns: Sequence[str] | None = None) -> Any:
        """Some parts, one below the other, as a `polars.DataFrame` with the columns' types."""
        from .frames import read_parts

        paths, types = self._known
        return read_parts([paths[part] for part in parts], types, columns)

    @cached_property
    def _known(self) -> tuple[list[Path], dict[str, str]]:
        """The files and the columns' types, asked once for all parts: a dataset that is read is ready."""
        return self.paths(), {column["name"]: column["type"] for column in self.columns}

    def paths(self) -> list[Path]:
        """The files of its parts, in the order of the source's rows."""
        return [self.folder / name for name in self.parts.values_list("file", flat=True)]


class Part(models.Model):
    """One Parquet file of a dataset, written whole before its row."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="parts")
    index = models.PositiveIntegerField()
    file = models.CharField(max_length=60)
    rows = models.PositiveBigIntegerField()
    bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        ordering = ["index"]
        constraints = [models.UniqueConstraint(fields=["dataset", "index"], name="uploads_one_part_per_index")]

    def __str__(self) -> str:
        return self.file
