"""Real tables, uploaded and validated: the same verdicts and counts as pandera gives on the same rows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.polars as pa
import polars as pl
import pytest
import sklearn.datasets
import vega_datasets

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

NUMBERS = {"minimum": pa.Check.ge, "maximum": pa.Check.le}


def check_of(rule: dict[str, Any]) -> Any:
    """The same rule in pandera's words."""
    kind = rule["rule"]
    if kind in NUMBERS:
        return NUMBERS[kind](rule[kind])
    if kind == "between":
        return pa.Check.in_range(rule["minimum"], rule["maximum"])
    if kind == "pattern":
        return pa.Check.str_matches(f"^(?:{rule['pattern']})$")
    if kind == "enum":
        return pa.Check.isin(rule["values"])
    return pa.Check.str_length(rule.get("minimum"), rule.get("maximum"))


def by_pandera(rule: dict[str, Any], frame: pl.DataFrame) -> int:
    """How many rows break the rule."""
    options: dict[str, Any] = {"nullable": rule["rule"] != "required"}
    if rule["rule"] == "unique":
        options["unique"] = True
    elif rule["rule"] != "required":
        options["checks"] = check_of(rule)
    schema = pa.DataFrameSchema({rule["column"]: pa.Column(None, **options)})
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        if rule["rule"] == "unique":  # it counts all rows of a repeated value, we all but the first
            values = frame[rule["column"]].drop_nulls()
            return len(values) - values.n_unique()
        return int(cases.height)
    return 0


def vega(name: str) -> pd.DataFrame:
    path = Path(vega_datasets.__file__).parent / "_data" / name
    return pd.DataFrame(json.loads(path.read_text())) if path.suffix == ".json" else pd.read_csv(path)


TABLES: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "cars": (
        lambda: vega("cars.json"),
        [
            {"rule": "required", "column": "Horsepower"},
            {"rule": "required", "column": "Name"},
            {"rule": "unique", "column": "Name"},
            {"rule": "between", "column": "Miles_per_Gallon", "minimum": 10, "maximum": 40},
            {"rule": "minimum", "column": "Acceleration", "minimum": 9.5},
            {"rule": "enum", "column": "Origin", "values": ["USA", "Japan"]},
            {"rule": "pattern", "column": "Name", "pattern": "[a-z ]+"},
            {"rule": "length", "column": "Name", "minimum": 8, "maximum": 20},
        ],
    ),
    "airports": (
        lambda: vega("airports.csv"),
        [
            {"rule": "unique", "column": "name"},
            {"rule": "required", "column": "city"},
            {"rule": "pattern", "column": "iata", "pattern": "[A-Z]{3}"},
            {"rule": "length", "column": "city", "maximum": 15},
            {"rule": "enum", "column": "country", "values": ["USA"]},
            {"rule": "between", "column": "latitude", "minimum": 20, "maximum": 60},
        ],
    ),
    "la-riots": (
        lambda: vega("la-riots.csv"),
        [
            {"rule": "required", "column": "neighborhood"},
            {"rule": "maximum", "column": "age", "maximum": 60},
            {"rule": "enum", "column": "gender", "values": ["Male"]},
            {"rule": "unique", "column": "last_name"},
        ],
    ),
    "iris": (
        lambda: sklearn.datasets.load_iris(as_frame=True).frame.rename(columns=lambda name: name[:12].strip()),
        [
            {"rule": "required", "column": "sepal length"},
            {"rule": "unique", "column": "petal length"},
            {"rule": "between", "column": "sepal width", "minimum": 2.5, "maximum": 3.5},
            {"rule": "enum", "column": "target", "values": [0, 1]},
        ],
    ),
    "wine": (
        lambda: sklearn.datasets.load_wine(as_frame=True).frame,
        [
            {"rule": "minimum", "column": "alcohol", "minimum": 12.5},
            {"rule": "maximum", "column": "proline", "maximum": 1000},
            {"rule": "unique", "column": "ash"},
        ],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_verdicts_and_counts_are_those_of_pandera(upload: Any, validate: Any, name: str) -> None:
    load, rules = TABLES[name]
    content = load().to_csv(index=False)
    result = validate(upload(content, f"{name}.csv"), rules)["result"]
    frame = pl.read_csv(io.StringIO(content), infer_schema_length=None)
    assert result["rows"] == frame.height > 60
    found = [(each["rule"], each["columns"][0], each["status"], each["failed"]) for each in result["outcomes"]]
    counts = [by_pandera(rule, frame) for rule in rules]
    verdicts = ["failed" if count else "passed" for count in counts]
    kinds = [(rule["rule"], rule["column"]) for rule in rules]
    assert found == [(*kind, verdict, count) for kind, verdict, count in zip(kinds, verdicts, counts, strict=True)]
    assert sum(map(bool, counts)) >= 2


def test_a_profile_of_a_real_table_is_passed_by_it(upload: Any, validate: Any, client: Any) -> None:
    from lro.testing import run_due

    dataset = upload(vega("cars.json").to_csv(index=False), "cars.csv")
    answer = client.post("/validations/profile", {"dataset": dataset, "save_as": "cars"}, "application/json")
    run_due()
    profile = client.get(f"/operations/{answer.json()['id']}").json()["result"]
    kinds = {(rule["rule"], rule.get("column")) for rule in profile["rules"]}
    assert {("enum", "Origin"), ("date_range", "Year"), ("null_share", "Horsepower"), ("type", "Cylinders")} <= kinds
    assert validate(dataset, rule_set=profile["rule_set"])["result"]["verdict"] == "passed"
