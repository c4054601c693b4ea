"""Foreign keys into another dataset: exact, and its keys are held a bucket at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from lro import datasets

from .checks import schema_of
from .faults import BadRules, Fault, did_you_mean
from .keys import ROW, hashes_of, keys_of
from .rule_documents import Rule

#: Keys of other datasets that are held at once; where one has more, the table is read once for each bucket of them.
HELD_KEYS = 1_000_000


def referenced_columns(rule: Rule) -> list[str]:
    names = rule.options["references"]
    return [names] if isinstance(names, str) else list(names)


def check_reference(rule: Rule, owner: Any, place: str) -> None:
    """Raises BadRules where the other dataset cannot be read by this owner, or lacks the columns."""
    wanted = referenced_columns(rule)
    if len(wanted) != len(rule.columns):
        message = f"Rule {rule.id}: {len(rule.columns)} columns cannot refer to {len(wanted)}."
        raise BadRules([Fault(f"{place}/references", "wrong_type", message)])
    try:
        other = datasets.find(rule.options["dataset"])
    except ValueError:
        other = None
    if other is None or not other.is_visible_to(owner) or not other.is_ready:
        message = f"Rule {rule.id}: there is no dataset {rule.options['dataset']}."
        raise BadRules([Fault(f"{place}/dataset", "unknown_dataset", message)])
    names = [column["name"] for column in other.columns]
    for name in wanted:
        if name not in names:
            message = f"Rule {rule.id}: the dataset {other.name} has no column {name}{did_you_mean(name, names)}"
            raise BadRules([Fault(f"{place}/references", "unknown_column", message)])


def held_while_reading(rules: Sequence[Rule]) -> set[str]:
    """The ids of the foreign keys that are looked up while the table is read: together they have few enough keys."""
    left, held = HELD_KEYS, set()
    for rule in rules:
        other = datasets.find(rule.options["dataset"])
        if other is not None and other.rows <= left:
            held.add(rule.id)
            left -= other.rows
    return held


class Reference:
    """The other dataset's side of one rule. `check` is called often, and raises where the run should stop."""

    def __init__(self, rule: Rule, schema: Mapping[str, Any], check: Callable[[], object]) -> None:
        self.rule, self.dataset = rule, datasets.load(rule.options["dataset"])
        self.columns, self.check = referenced_columns(rule), check
        other = schema_of(self.dataset.columns)
        pairs = zip(rule.columns, self.columns, strict=True)
        self.dtypes = [_common(schema[mine], other[theirs]) for mine, theirs in pairs]
        self.buckets = max(1, -(-self.dataset.rows // HELD_KEYS))

    def held(self, bucket: int = 0) -> Any:
        """The distinct keys of a bucket."""
        frames: list[Any] = []
        for part in range(len(self.dataset.part_rows)):
            self.check()
            frame = self.dataset.read_frame([part], self.columns)
            keys = keys_of(frame, self.columns, 1, keeps_nulls=False, cast=self.dtypes)
            frames.append(self.of_bucket(keys, bucket).drop(ROW).unique())
            if len(frames) == 50:
                frames = [pl.concat(frames).unique()]
        empty = pl.DataFrame(schema={str(index): dtype for index, dtype in enumerate(self.dtypes)})
        return pl.concat([empty, *frames]).unique()

    def of_bucket(self, keys: Any, bucket: int) -> Any:
        if self.buckets == 1:
            return keys
        return keys.filter(pl.Series(hashes_of(keys) % np.uint64(self.buckets) == bucket))

    def keys(self, frame: Any, first_row: int) -> Any:
        return keys_of(frame, self.rule.columns, first_row, keeps_nulls=False, cast=self.dtypes)

    def missing(self, keys: Any, held: Any, bucket: int = 0) -> Any:
        """The numbers of the rows whose key is not among those of the bucket, ascending."""
        own = self.of_bucket(keys, bucket)
        if len(self.dtypes) == 1 and self.dtypes[0] != pl.String():  # of texts a join is three times as quick
            return own.filter(~pl.col("0").is_in(held["0"].implode()))[ROW]
        names = [str(index) for index in range(len(self.dtypes))]
        return own.join(held, on=names, how="anti")[ROW].sort()

    def missing_by_bucket(self, readings: Any) -> Iterator[Any]:
        """Of a dataset with more keys than are held: the missing rows of each reading, for each bucket."""
        for bucket in range(self.buckets):
            held = self.held(bucket)
            for keys in readings():
                yield self.missing(keys, held, bucket)


def _common(mine: Any, theirs: Any) -> Any:
    """The type in which values of both can be compared."""
    if mine == theirs:
        return mine
    return pl.Float64() if mine.is_numeric() and theirs.is_numeric() else pl.String()
