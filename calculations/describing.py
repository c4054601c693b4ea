"""The columns of a dataset described in one pass over its parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lro import datasets

from .calculation import Calculation, Table
from .column_tallies import GroupTally, NumberTally, WordTally, correlations
from .columns import Mask, complete, groups, number_hashes, numbers, read_part, word_hashes
from .exact import ExactProducts, Floats
from .simulating import versions

#: What all columns share, so that the tally stays small enough for a checkpoint.
_VALUE_ROOM, _DISTINCT_ROOM, _GROUP_ROOM = 16_384, 4_096, 500
#: Groups stand in the result too, not in the file alone, up to so many of them, and so many figures.
_SHOWN_GROUPS, _SHOWN_FIGURES = 50, 1_500
_TOLD_BINS = 1_000


@dataclass
class DescriptionTally:
    rows: int
    columns: list[NumberTally | WordTally]
    groups: GroupTally | None
    products: ExactProducts | None

    def merge(self, other: DescriptionTally) -> None:
        self.rows += other.rows
        for mine, its in zip(self.columns, other.columns, strict=True):
            mine.merge(its)  # type: ignore[arg-type]
        if self.groups is not None and other.groups is not None:
            self.groups.merge(other.groups)
        if self.products is not None and other.products is not None:
            self.products.merge(other.products)

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "columns": [column.to_json() for column in self.columns],
            "groups": self.groups and self.groups.to_json(),
            "products": self.products and self.products.to_json(),
        }


class Description(Calculation):
    unit = "rows"

    def __init__(self, data: dict[str, Any]) -> None:
        self.dataset = datasets.load(data["dataset"])
        self.columns: list[tuple[str, str]] = [(name, kind) for name, kind in data["columns"]]
        self.quantiles: list[float] = data["quantiles"]
        self.bins: int = data["bins"]
        self.group_by: str | None = data.get("group_by")
        self.numeric = [name for name, kind in self.columns if kind in ("integer", "number")]
        self.has_correlation = data["correlation"] and len(self.numeric) > 1
        self._rows = [0, *itertools.accumulate(self.dataset.part_rows)]
        self.blocks, self.total = len(self._rows) - 1, self._rows[-1]

    def units(self, blocks: int) -> int:
        return self._rows[blocks]

    def empty(self) -> DescriptionTally:
        room = max(256, min(4_096, _VALUE_ROOM // max(1, len(self.numeric))))
        distinct = max(64, min(1_024, _DISTINCT_ROOM // len(self.columns)))
        most_groups = max(1, _GROUP_ROOM // max(1, len(self.numeric)))
        return DescriptionTally(
            rows=0,
            columns=[
                NumberTally(room, distinct) if name in self.numeric else WordTally(distinct) for name, _ in self.columns
            ],
            groups=GroupTally(len(self.numeric), most_groups) if self.group_by else None,
            products=ExactProducts(1 + len(self.numeric)) if self.has_correlation else None,
        )

    def read(self, data: Any) -> DescriptionTally:
        empty = self.empty()
        columns = [column.read(its) for column, its in zip(empty.columns, data["columns"], strict=True)]
        groups = empty.groups and empty.groups.read(data["groups"])
        products = empty.products and ExactProducts.from_json(empty.products.columns, data["products"])
        return DescriptionTally(data["rows"], columns, groups, products)

    def add(self, tally: DescriptionTally, block: int) -> None:
        names = [name for name, _ in self.columns] + ([self.group_by] if self.group_by else [])
        table = read_part(self.dataset, block, names)
        tally.rows += table.num_rows
        found = {name: numbers(table, name, block) for name in self.numeric}
        for (name, kind), column in zip(self.columns, tally.columns, strict=True):
            if isinstance(column, NumberTally):
                values, present = found[name]
                values = values[present]
                column.add(values, len(present) - len(values), number_hashes(values))
            else:
                words = table.column(name)
                missing = words.null_count
                column.add(len(words) - missing, missing, _ends(words, kind), word_hashes(words))
        if tally.groups is not None:
            self._add_groups(tally.groups, table, found)
        if tally.products is not None:
            rows, _ = complete(list(found.values()))
            tally.products.add(np.vstack([np.ones_like(rows[0]), *rows]))

    def _add_groups(self, tally: GroupTally, table: Any, found: dict[str, tuple[Floats, Mask]]) -> None:
        labels, codes = groups(table, str(self.group_by))
        tally.count(labels, codes)
        for index, (values, present) in enumerate(found.values()):
            tally.add(index, labels, codes[present], values[present])

    def answer(self, tally: DescriptionTally) -> dict[str, Any]:
        answer = self._described(tally, self.bins)
        if tally.products is not None:
            answer["correlation"] = {
                "columns": self.numeric,
                "rows": int(tally.products[0, 0]),
                "matrix": correlations(tally.products),
            }
        if tally.groups is not None:
            header = self._group_header()
            shown = itertools.islice(self._group_rows(tally.groups), min(_SHOWN_GROUPS, _SHOWN_FIGURES // len(header)))
            answer["groups"] = {
                "count": len(tally.groups.rows),
                "table": [dict(zip(header, row, strict=True)) for row in shown],
            }
        return answer

    def partial(self, tally: DescriptionTally) -> dict[str, Any]:
        """Without groups and correlations; with histograms where they are few."""
        return self._described(tally, self.bins if len(self.numeric) * self.bins <= _TOLD_BINS else 0)

    def _described(self, tally: DescriptionTally, bins: int) -> dict[str, Any]:
        columns = [
            {"name": name, "type": kind, **column.summary(self.quantiles, bins)}
            for (name, kind), column in zip(self.columns, tally.columns, strict=True)
        ]
        return {"rows": tally.rows, "columns": columns}

    def tables(self, tally: DescriptionTally) -> list[Table]:
        if tally.groups is None:
            return []
        return [Table("groups.csv", self._group_header(), self._group_rows(tally.groups))]

    def _group_header(self) -> list[str]:
        figures = ("count", "mean", "std", "min", "max")
        return [str(self.group_by), "rows", *(f"{name}.{each}" for name in self.numeric for each in figures)]

    def _group_rows(self, tally: GroupTally) -> Iterator[list[Any]]:
        for label in tally.ordered():
            summaries = [moments.summary() for moments in tally.moments[label]]
            figures = [each[figure] for each in summaries for figure in ("count", "mean", "std", "min", "max")]
            yield [label, tally.rows[label], *figures]

    def provenance(self) -> dict[str, Any]:
        return dataset_provenance(self.dataset)


def dataset_provenance(dataset: datasets.Dataset) -> dict[str, Any]:
    import polars

    own = {"dataset": str(dataset.id), "dataset_sha256": dataset.sha256, "parts": len(dataset.part_rows)}
    return {**own, "versions": {**versions(), "polars": polars.__version__}}


def _ends(column: Any, kind: str) -> tuple[str, str] | None:
    """The first and the last date, as text."""
    if kind not in ("date", "datetime") or column.null_count == len(column):
        return None
    import pyarrow.compute as pc

    ends = pc.min_max(column).as_py()
    return ends["min"].isoformat(), ends["max"].isoformat()
