"""Steps that are the same in every project: name the model, and what goes where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Model

from lro import Fail, datasets

from .declaration import Step
from .matching import attname


class LoadDataset(Step):
    """Load the dataset of the parameter `dataset` into a model: known keys are updated, others inserted."""

    unit: ClassVar[str] = "rows"
    #: By parts, several workers might insert the same key.
    can_shard: ClassVar[bool] = False
    model: ClassVar[type[Model]]
    #: Fields that are unique together in the database.
    key: ClassVar[Sequence[str]]
    #: By field, the column that it comes from.
    columns: ClassVar[Mapping[str, str]]

    def source(self) -> Any:
        dataset = datasets.load(self.parameters["dataset"])
        there = {column["name"] for column in dataset.columns}
        missing = [column for column in self.columns.values() if column not in there]
        if missing:
            message = (
                f"The dataset {dataset.name} has no column {', '.join(missing)}; it has {', '.join(sorted(there))}."
            )
            raise Fail("missing_columns", message)
        return dataset

    def process_batch(self, records: list[Any]) -> None:
        rows = [row for record in records if (row := self._row(record)) is not None]
        self.upsert(rows, key=self.key, update=[name for name in self.columns if name not in self.key])

    def _row(self, record: dict[str, Any]) -> Model | None:
        values = {}
        for name, column in self.columns.items():
            field: Any = self.model._meta.get_field(name)
            try:
                values[attname(self.model, name)] = self._value(field, record[column])
            except ValidationError as error:
                self.reject(record, "bad_value", f"{column}: {'; '.join(error.messages)}", column=column)
                return None
        return self.model(**values)

    def _value(self, field: Any, value: Any) -> Any:
        """Nothing is the field's default, unless the field may be null."""
        if value is None and not field.null and field.has_default():
            return field.get_default()
        return field.clean(value, None)
