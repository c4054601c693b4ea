"""Random tables, random rules, parts and batches of any size: the same as a naive judge says row by row."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lro.testing import run_operation
from tests.validations.oracle import expected
from tests.validations.tables import MemoryTable, known
from validations import batches, references, repeats
from validations.models import Violation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files")]

AS_OF = datetime(2024, 6, 1, 12)
KINDS = {"whole": "integer", "number": "number", "text": "string", "day": "date", "flag": "boolean"}
CELLS: dict[str, Any] = {
    "whole": st.integers(-3, 6),
    "number": st.integers(-8, 12).map(lambda n: n / 4),
    "text": st.sampled_from(["", "a", "ab", "abc", "1", "-2.5", "007", "é", "none", "\u202e"]),
    "day": st.dates(date(2024, 5, 25), date(2024, 6, 3)),
    "flag": st.booleans(),
}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | cell for name, cell in CELLS.items()}), max_size=24)
NUMBERS = st.integers(-4, 5)
CONDITIONS = ["number > 0", "flag", "text is not null", "whole < number", "text like 'a%'"]
THRESHOLDS = st.sampled_from([0, 1, 3, 0.1, 0.5])


def of(kind: str, *columns: str, **options: Any) -> Any:
    return st.fixed_dictionaries({"rule": st.just(kind), "column": st.sampled_from(columns), **options})


def between(low: Any, high: Any) -> Any:
    return st.tuples(low, high).map(sorted).map(lambda pair: {"minimum": pair[0], "maximum": pair[1]})


def ranged(kind: str, bounds: Any, *columns: str, **options: Any) -> Any:
    rule = of(kind, *columns, **options) if columns else st.just({"rule": kind})
    return st.tuples(rule, bounds).map(lambda pair: {**pair[0], **pair[1]})


DAYS = CELLS["day"].map(str)
NAMES = st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=3, unique=True)
ROW_RULES = st.one_of(
    of("required", *CELLS),
    st.builds(lambda names: {"rule": "unique", "columns": names}, NAMES),
    st.just({"rule": "distinct_rows"}),
    of("minimum", "whole", "number", "text", minimum=NUMBERS),
    of("maximum", "whole", "number", "text", maximum=NUMBERS),
    ranged("between", between(NUMBERS, NUMBERS), "whole", "number", "text"),
    ranged("date_range", between(DAYS, DAYS), "day"),
    of("pattern", "text", pattern=st.sampled_from(["a.*", "[0-9]+", "a|ab", ".", ""]).filter(bool)),
    of("enum", "text", values=st.lists(CELLS["text"], min_size=1)),
    of("enum", "whole", values=st.lists(CELLS["whole"], min_size=1)),
    ranged("length", between(st.integers(0, 3), st.integers(0, 4)), "text"),
    of("type", "text", type=st.just("integer")),
    st.builds(lambda then: {"rule": "condition", "then": then}, st.sampled_from(CONDITIONS)),
    st.builds(
        lambda when, then: {"rule": "condition", "when": when, "then": then},
        st.sampled_from(CONDITIONS),
        st.sampled_from(CONDITIONS),
    ),
    st.sampled_from(["whole", "text", "day"]).map(
        lambda name: {"rule": "foreign_key", "column": name, "dataset": "other", "references": name}
    ),
    st.just({"rule": "foreign_key", "columns": ["whole", "text"], "dataset": "other", "references": ["whole", "text"]}),
)
WHOLE_RULES = st.one_of(
    ranged("row_count", between(st.integers(0, 9), st.integers(9, 24))),
    of("null_share", *CELLS, maximum=st.sampled_from([0, 0.1, 0.25, 1])),
    ranged("mean", between(NUMBERS, NUMBERS), "whole", "number"),
    ranged("quantile", between(NUMBERS, NUMBERS), "whole", "number", quantile=st.sampled_from([0, 0.1, 0.5, 0.9, 1])),
    of("freshness", "day", max_age=st.sampled_from(["1d", "3d", "7d"])),
)
RULES = st.lists(
    st.one_of(st.tuples(ROW_RULES, THRESHOLDS).map(lambda pair: {**pair[0], "threshold": pair[1]}), WHOLE_RULES),
    min_size=1,
    max_size=12,
)


def memory_table(rows: list[dict[str, Any]], part: int) -> MemoryTable:
    return MemoryTable({name: (kind, [row[name] for row in rows]) for name, kind in KINDS.items()}, part)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, others=ROWS, rules=RULES, part=st.integers(1, 25), cells=st.integers(1, 60), held=st.integers(1, 30))
def test_every_rule_is_judged_as_row_by_row(
    alice: Any, rows: Any, others: Any, rules: Any, part: int, cells: int, held: int
) -> None:
    table, other = memory_table(rows, part), memory_table(others, 7)
    rules = [{**rule, "dataset": str(other.id)} if rule["rule"] == "foreign_key" else rule for rule in rules]
    patched = [
        mock.patch.object(batches, "BATCH_CELLS", cells),
        mock.patch.object(repeats, "HELD_HASHES", held),
        mock.patch.object(repeats, "HELD_KEYS", held),
        mock.patch.object(references, "HELD_KEYS", held),
    ]
    with known(table, other), patched[0], patched[1], patched[2], patched[3]:
        data = {"dataset": str(table.id), "rules": rules, "as_of": AS_OF.replace(tzinfo=UTC).isoformat()}
        data |= {"max_violations": 1000, "rows_per_child": 10}
        operation = run_operation("validations.run", data, alice)
    assert operation.state == "succeeded", operation.error
    wanted = expected(rules, rows, {str(other.id): others}, AS_OF)
    for rule, outcome, (status, bad) in zip(rules, operation.result["outcomes"], wanted, strict=True):
        found = Violation.objects.filter(operation_id=operation.pk, rule=outcome["id"])
        assert (rule, outcome["status"], outcome["failed"]) == (rule, status, len(bad))
        assert (rule, list(found.order_by("row").values_list("row", flat=True))) == (rule, bad)
