"""One profile: look at every value of every column, and propose the rules that hold."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from datetime import date
from typing import Any

import polars as pl

from lro import OperationContext, datasets

from . import rule_sets
from .batches import Batch, batches_of, read
from .keys import keys_of
from .models import owner_of
from .profiles import MOST_VALUES, PATTERNS, ColumnProfile, proposed
from .repeats import HashFile, repeats
from .row_pass import CHECKPOINT_SECONDS
from .rule_documents import read_rules
from .subjects import DTYPES

_RESULT_BYTES = 200_000


class ProfileRun:
    def __init__(self, op: OperationContext, *, dataset: str, save_as: str | None = None) -> None:
        self.op, self.save_as = op, save_as
        self.dataset = datasets.load(dataset)
        self.names = [column["name"] for column in self.dataset.columns]
        self.batches = batches_of(self.dataset.part_rows, 2 * len(self.names))
        done = op.cursor or {"batch": 0, "columns": self.dataset.columns, "settled": 0}
        self.batch, self.settled = done["batch"], done["settled"]
        self.rule_set: str | None = None
        self.columns = [ColumnProfile(**column) for column in done["columns"]]

    def run(self) -> dict[str, Any]:
        self.op.step("values")
        saved = time.monotonic()
        for batch in self.batches[self.batch :]:
            self._take(batch)
            if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                self._checkpoint()
                saved = time.monotonic()
        self._checkpoint()
        self.op.step("keys")
        for index in range(self.settled, len(self.columns)):
            self._settle_unique(self.columns[index])
            self.settled = index + 1
        return self._conclude()

    def _take(self, batch: Batch) -> None:
        self.op.progress(batch.first_row - 1, self.dataset.rows, unit="rows")
        frame = read(self.dataset, batch, self.names)
        for column in self.columns:
            self.op.check()
            column.add(_seen(frame[column.name], column))
        self.batch = batch.index + 1

    def _checkpoint(self) -> None:
        self.op.checkpoint(self._cursor())

    def _cursor(self) -> dict[str, Any]:
        return {"batch": self.batch, "columns": [asdict(column) for column in self.columns], "settled": self.settled}

    def _settle_unique(self, column: ColumnProfile) -> None:
        """No batch has a value twice; now the values of all batches beside each other."""
        column.unique = column.unique and column.count > 1 and column.type in ("string", "integer")
        if not column.unique or len(self.batches) == 1:
            return
        folder = self.op.tempfile()
        folder.mkdir()
        hashes = HashFile(folder / "keys", [DTYPES[column.type]])
        for keys in self._keys(column.name):
            hashes.add(keys)
        column.unique = repeats(hashes, lambda: self._keys(column.name), 0, self.op.check).count == 0
        shutil.rmtree(folder)
        self._checkpoint()

    def _keys(self, name: str) -> Any:
        for batch in self.batches:
            self.op.check()
            yield keys_of(read(self.dataset, batch, [name]), [name], batch.first_row, keeps_nulls=False)

    def _conclude(self) -> dict[str, Any]:
        rows = self.dataset.rows
        self.op.progress(rows, rows, unit="rows")
        rules = proposed(self.columns, rows)
        if self.save_as and rules:
            self._save(self.save_as, rules)
        result = {
            "dataset": str(self.dataset.id),
            "rows": rows,
            "columns": [column.to_json() for column in self.columns],
            "rules": rules,
            "rule_set": self.rule_set,
        }
        path = self.op.tempfile(".json")
        path.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
        self.op.artifact(path, "profile.json", content_type="application/json")
        is_short = len(json.dumps(result)) <= _RESULT_BYTES
        return result if is_short else {**result, "columns": [], "rules": []}  # they are in profile.json

    def _save(self, name: str, rules: list[dict[str, Any]]) -> None:
        """In the checkpoint's transaction: a version is made once, whatever crashes."""

        def save() -> None:
            self.rule_set = str(rule_sets.save_as(name, read_rules(rules), owner_of(self.op.owner_id)).pk)

        self.op.checkpoint(self._cursor(), save=save)


def _seen(values: Any, column: ColumnProfile) -> dict[str, Any]:
    """What a batch shows of a column. What is refuted already is not looked at again."""
    present = values.drop_nulls()
    measured = present.str.len_chars() if values.dtype == pl.String else present
    distinct = present.n_unique() if column.unique or column.values is not None else None
    low, high = _ends(measured)
    is_bounded = present.is_empty() or low is not None
    is_few = column.values is not None and distinct is not None and distinct <= MOST_VALUES and is_bounded
    return {
        "nulls": values.null_count(),
        "count": len(present),
        "minimum": low,
        "maximum": high,
        "values": [_plain(value) for value in present.unique()] if is_few else None,
        "patterns": _matching(present, column) if values.dtype == pl.String else [],
        "unique": distinct == len(present),
        "bounded": is_bounded,
    }


def _ends(values: Any) -> tuple[Any, Any]:
    """The least and the greatest; None for what no bound can name."""
    if values.dtype.is_float() and not values.is_finite().all():
        return None, None
    try:
        return _plain(values.min()), _plain(values.max())
    except (ValueError, OverflowError):  # a year beyond Python's
        return None, None


def _matching(present: Any, column: ColumnProfile) -> list[str]:
    return [name for name in column.patterns if present.str.contains(rf"\A(?:{PATTERNS[name]})\z").all()]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
