"""Real tables, imported as people do, beside pandas, numpy and duckdb."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from vega_datasets import data as vega

from calculations.describing import Description
from lro.models import Operation
from lro.testing import run_due

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("files", "checked"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:vega_datasets"),
    pytest.mark.filterwarnings("ignore:The 'convert_dates' keyword"),
]

Described = dict[str, dict[str, Any]]
_TYPES = {"i": "integer", "f": "number", "O": "string", "M": "date", "b": "boolean", "T": "string"}


def frame_of(name: str) -> pd.DataFrame:
    if name == "wine":
        wine = load_wine(as_frame=True).frame
        return wine.rename(columns=lambda column: column.replace("/", "_"))
    frame = {"cars": vega.cars, "weather": vega.seattle_weather}[name]()
    for column in frame.columns:
        if pd.api.types.is_datetime64_any_dtype(frame[column]):
            frame[column] = frame[column].dt.strftime("%Y-%m-%d")
    return frame


@pytest.fixture
def dataset_of(imported: Callable[..., str]) -> Callable[[pd.DataFrame], str]:
    def run(frame: pd.DataFrame) -> str:
        columns = {name: [None if pd.isna(v) else v for v in frame[name].tolist()] for name in frame.columns}
        types = {
            name: "date"
            if name in ("date", "Year")
            else "integer"
            if pd.api.types.is_integer_dtype(frame[name])
            else "number"
            for name in frame.columns
            if pd.api.types.is_numeric_dtype(frame[name]) or name in ("date", "Year")
        }
        return imported(columns, types, block_bytes=4_000)

    return run


def by_name(result: dict[str, Any]) -> Described:
    return {column["name"]: column for column in result["columns"]}


@pytest.mark.parametrize("name", ["cars", "weather", "wine"])
def test_statistics_and_quantiles_are_those_of_pandas(name: str, dataset_of: Any, result: Any) -> None:
    frame = frame_of(name)
    shares = [0, 0.1, 0.25, 0.5, 0.9, 1]
    described = by_name(result("describe", dataset=dataset_of(frame), quantiles=shares, bins=10))
    for column in frame.columns:
        own = described[column]
        assert (own["count"], own["missing"]) == (frame[column].count(), frame[column].isna().sum())
        distinct = own["distinct"]
        assert distinct["count"] == pytest.approx(frame[column].nunique(), rel=4 * distinct["error"])
        if not pd.api.types.is_numeric_dtype(frame[column]):
            continue
        values = frame[column].dropna().to_numpy(float)
        expected = [values.mean(), values.std(ddof=1), values.min(), values.max(), values.sum()]
        assert [own[each] for each in ("mean", "std", "min", "max", "sum")] == pytest.approx(expected, rel=1e-13)
        assert [each["value"] for each in own["quantiles"]] == pytest.approx(
            np.quantile(values, shares).tolist(), rel=1e-14
        )
        assert own["quantile_error"] == 0
        assert own["histogram"]["counts"] == np.histogram(values, 10)[0].tolist()


def test_dates_tell_their_first_and_last(dataset_of: Any, result: Any) -> None:
    described = by_name(result("describe", dataset=dataset_of(frame_of("weather")), columns=["date"]))
    assert (described["date"]["min"], described["date"]["max"]) == ("2012-01-01", "2015-12-31")


def test_groups_are_those_of_duckdb(dataset_of: Any, compute: Any, client: Any) -> None:
    weather = frame_of("weather")
    operation = compute("describe", dataset=dataset_of(weather), group_by="weather", columns=["temp_max", "wind"])
    groups = operation.result["groups"]
    query = """
        SELECT weather, count(*), avg(temp_max), stddev_samp(temp_max), min(wind), max(wind)
        FROM weather GROUP BY weather ORDER BY weather
    """
    expected = duckdb.sql(query).fetchall()
    assert groups["count"] == len(expected)
    for row, (name, rows, mean, deviation, low, high) in zip(groups["table"], expected, strict=True):
        assert (row["weather"], row["rows"], row["wind.min"], row["wind.max"]) == (name, rows, low, high)
        assert (row["temp_max.mean"], row["temp_max.std"]) == (pytest.approx(mean), pytest.approx(deviation))
    (artifact,) = client.get(f"/operations/{operation.pk}/artifacts/").json()["results"]
    text = b"".join(client.get(artifact["links"]["download"])).decode()
    assert [row["weather"] for row in csv.DictReader(io.StringIO(text))] == [row["weather"] for row in groups["table"]]


def test_correlations_are_those_of_numpy_over_complete_rows(dataset_of: Any, result: Any) -> None:
    cars = frame_of("cars")
    found = result("describe", dataset=dataset_of(cars), correlation=True)["correlation"]
    complete = cars[found["columns"]].dropna()
    assert found["rows"] == len(complete)
    assert np.array(found["matrix"]) == pytest.approx(np.corrcoef(complete.to_numpy(float).T), rel=1e-12)


def test_many_values_are_counted_to_a_stated_precision(imported: Any, result: Any, monkeypatch: Any) -> None:
    """With room for few values: each quantile is off by at most the share of itself that is told."""
    monkeypatch.setattr("calculations.describing._VALUE_ROOM", 600)
    monkeypatch.setattr("calculations.describing._DISTINCT_ROOM", 600)
    rng = np.random.default_rng(3)
    columns = {"x": rng.lognormal(0, 1, 20_000).round(6), "y": -rng.lognormal(3, 0.5, 20_000).round(6)}
    dataset = imported(columns, {"x": "number", "y": "number"}, block_bytes=30_000)
    shares = [0, 0.001, 0.1, 0.5, 0.9, 0.999, 1]
    described = by_name(result("describe", dataset=dataset, quantiles=shares))
    for name, values in columns.items():
        error = described[name]["quantile_error"]
        assert 0 < error <= 2**-5
        found = [each["value"] for each in described[name]["quantiles"]]
        assert found == pytest.approx(np.quantile(values, shares).tolist(), rel=error)
        assert described[name]["mean"] == pytest.approx(values.mean(), rel=1e-14)
        distinct = described[name]["distinct"]
        assert distinct["count"] == pytest.approx(len(set(values)), rel=4 * distinct["error"])


def test_a_column_without_a_value_has_no_statistics(imported: Any, result: Any) -> None:
    dataset = imported({"x": [None, None], "y": [1, 2]}, {"x": "number", "y": "number"})
    described = by_name(result("describe", dataset=dataset, correlation=True, group_by="x"))
    assert (described["x"]["count"], described["x"]["missing"], described["x"]["mean"]) == (0, 2, None)


def test_a_constant_column_correlates_with_nothing(imported: Any, result: Any) -> None:
    dataset = imported({"x": [5, 5, 5], "y": [1, 2, 4]}, {"x": "number", "y": "number"})
    matrix = result("describe", dataset=dataset, correlation=True)["correlation"]["matrix"]
    assert matrix == [[None, None], [None, 1.0]]


def test_the_tally_of_many_columns_fits_a_checkpoint(imported: Any, post: Any) -> None:
    """60 columns, 30 of numbers that are all different, and groups: the worst that is accepted."""
    rng = np.random.default_rng(1)
    columns: dict[str, Any] = {f"c{n}": rng.lognormal(0, 3, 1500).round(6) for n in range(30)}
    columns |= {f"w{n}": rng.integers(0, 10**9, 1500) for n in range(30)} | {"key": rng.integers(0, 16, 1500)}
    dataset = imported(
        columns, dict.fromkeys(list(columns)[:30], "number") | dict.fromkeys(list(columns)[30:60], "string")
    )
    data = {"columns": list(columns)[:60], "group_by": "key", "correlation": True, "bins": 100}
    operation = Operation.objects.get(pk=post("describe", dataset=dataset, **data).json()["id"])
    calculation = Description(operation.input)
    tally = calculation.empty()
    calculation.add(tally, 0)
    assert len(json.dumps(tally.to_json())) < 250_000
    run_due()
    operation.refresh_from_db()
    assert operation.state == "succeeded", operation.error["message"]
