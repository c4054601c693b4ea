"""Every bad input is refused in the request, by its place and a remedy; what shows later fails with its block."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from calculations.kinds import calculation_of
from lro import Fail
from lro.models import Operation
from tests.calculations.conftest import client_of
from uploads.models import Dataset

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

OPTION = {"spot": 100, "strike": 105, "volatility": 0.2, "maturity": 1}
PORTFOLIO: dict[str, Any] = {"weights": [0.5, 0.5], "covariance": [[4e-4, 1e-4], [1e-4, 3e-4]]}


@pytest.fixture
def table(imported: Callable[..., str]) -> str:
    columns = {
        "price": [1.5, 2.5, 4.0, None],
        "count": [1, 2, 3, 4],
        "double": [2, 4, 6, 8],
        "name": ["a", "b", "c", "d"],
    }
    return imported(columns, {"price": "number", "count": "integer", "double": "integer"})


def problem(answer: Any) -> tuple[int, str, str]:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.content
    assert not Operation.objects.filter(name__startswith="calculations").exists()
    return answer.status_code, answer.json()["code"], answer.json()["errors"][0]["pointer"]


MONTE_CARLO = {
    "a misspelled option": (
        {"option": {**OPTION, "volatilty": 0.3}},
        (400, "invalid", "/option/volatilty"),
    ),
    "neither a model": ({}, (422, "bad_params", "/")),
    "two models": ({"option": OPTION, "portfolio": PORTFOLIO}, (422, "bad_params", "/")),
    "no spot": ({"option": {**OPTION, "spot": None}}, (400, "invalid", "/option/spot")),
    "a spot of 0": ({"option": {**OPTION, "spot": 0}}, (400, "invalid", "/option/spot")),
    "a volatility that is no number": (
        {"option": {**OPTION, "volatility": "NaN"}},
        (400, "invalid", "/option/volatility"),
    ),
    "an infinite maturity": ({"option": {**OPTION, "maturity": "Infinity"}}, (400, "invalid", "/option/maturity")),
    "an unknown kind": ({"option": {**OPTION, "kind": "bermudan"}}, (400, "invalid", "/option/kind")),
    "an unknown sampling": ({"option": OPTION, "sampling": "halton"}, (400, "invalid", "/sampling")),
    "few paths": ({"option": OPTION, "paths": 10}, (400, "invalid", "/paths")),
    "a negative seed": ({"option": OPTION, "seed": -1}, (400, "invalid", "/seed")),
    "a seed that JavaScript would round": ({"option": OPTION, "seed": 2**53}, (400, "invalid", "/seed")),
    "no shard": ({"option": OPTION, "shards": 0}, (400, "invalid", "/shards")),
    "a target of 0": ({"option": OPTION, "target_error": 0}, (422, "bad_params", "/target_error")),
    "a crooked block": ({"option": OPTION, "block_paths": 1000}, (422, "bad_params", "/block_paths")),
    "too much memory": (
        {"option": {**OPTION, "kind": "asian", "steps": 1000}, "sampling": "sobol", "block_paths": 2**16},
        (422, "bad_params", "/block_paths"),
    ),
    "too few means": ({"portfolio": {**PORTFOLIO, "means": [0.1]}}, (422, "bad_params", "/portfolio/means")),
    "a covariance of another size": (
        {"portfolio": {**PORTFOLIO, "covariance": [[1.0]]}},
        (422, "bad_params", "/portfolio/covariance"),
    ),
    "a crooked covariance": (
        {"portfolio": {**PORTFOLIO, "covariance": [[4e-4, 1e-4], [2e-4, 3e-4]]}},
        (422, "bad_params", "/portfolio/covariance/0/1"),
    ),
    "an impossible covariance": (
        {"portfolio": {**PORTFOLIO, "covariance": [[1.0, 2.0], [2.0, 1.0]]}},
        (422, "bad_params", "/portfolio/covariance"),
    ),
    "tails without a variance": (
        {"portfolio": {**PORTFOLIO, "degrees_of_freedom": 2}},
        (422, "bad_params", "/portfolio/degrees_of_freedom"),
    ),
    "no assets": ({"portfolio": {"weights": [], "covariance": []}}, (400, "invalid", "/portfolio/weights")),
    "a level of 1": ({"portfolio": {**PORTFOLIO, "level": 1}}, (400, "invalid", "/portfolio/level")),
}


@pytest.mark.parametrize(("data", "refusal"), MONTE_CARLO.values(), ids=list(MONTE_CARLO))
def test_a_simulation_refuses(post: Any, data: dict[str, Any], refusal: tuple[int, str, str]) -> None:
    assert problem(post("monte-carlo", **data)) == refusal


def test_a_covariance_that_is_none_is_refused_with_its_eigenvalue(post: Any) -> None:
    answer = post("monte-carlo", portfolio={**PORTFOLIO, "covariance": [[1.0, 2.0], [2.0, 1.0]]})
    assert "its smallest eigenvalue is -1." in answer.json()["detail"]


DATASETS = {
    "bootstrap of words": ("bootstrap", {"column": "name"}, (422, "non_numeric_column", "/column")),
    "bootstrap of no column": ("bootstrap", {"column": "prise"}, (422, "unknown_column", "/column")),
    "a correlation with nothing": (
        "bootstrap",
        {"column": "price", "statistic": "correlation"},
        (422, "bad_params", "/other"),
    ),
    "a mean with another column": ("bootstrap", {"column": "price", "other": "count"}, (422, "bad_params", "/other")),
    "a correlation with words": (
        "bootstrap",
        {"column": "price", "statistic": "correlation", "other": "name"},
        (422, "non_numeric_column", "/other"),
    ),
    "an unknown statistic": ("bootstrap", {"column": "price", "statistic": "mode"}, (400, "invalid", "/statistic")),
    "a quantile of 2": (
        "bootstrap",
        {"column": "price", "statistic": "quantile", "quantile": 2},
        (400, "invalid", "/quantile"),
    ),
    "too many resamples": ("bootstrap", {"column": "price", "resamples": 10**6}, (400, "invalid", "/resamples")),
    "to describe no column": ("describe", {"columns": ["price", "coun"]}, (422, "unknown_column", "/columns/1")),
    "groups of no column": ("describe", {"group_by": "nam"}, (422, "unknown_column", "/group_by")),
    "a quantile below 0": ("describe", {"quantiles": [-0.1]}, (400, "invalid", "/quantiles/0")),
    "a target of words": (
        "regression",
        {"target": "name", "predictors": ["price"]},
        (422, "non_numeric_column", "/target"),
    ),
    "a predictor of words": (
        "regression",
        {"target": "price", "predictors": ["name"]},
        (422, "non_numeric_column", "/predictors/0"),
    ),
    "a predictor that is the target": (
        "regression",
        {"target": "price", "predictors": ["price"]},
        (422, "bad_params", "/predictors/0"),
    ),
    "a predictor twice": (
        "regression",
        {"target": "price", "predictors": ["count", "count"]},
        (422, "bad_params", "/predictors/1"),
    ),
    "no predictors": ("regression", {"target": "price", "predictors": []}, (400, "invalid", "/predictors")),
    "a polynomial of two": (
        "regression",
        {"target": "price", "predictors": ["count", "double"], "degree": 2},
        (422, "bad_params", "/degree"),
    ),
}


@pytest.mark.parametrize(("kind", "data", "refusal"), DATASETS.values(), ids=list(DATASETS))
def test_a_computation_on_a_dataset_refuses(
    post: Any, table: str, kind: str, data: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    assert problem(post(kind, dataset=table, **data)) == refusal


def test_a_column_that_is_not_there_is_refused_with_the_nearest(post: Any, table: str) -> None:
    assert post("bootstrap", dataset=table, column="prise").json()["detail"].endswith("Did you mean price?")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("bootstrap", {"column": "price"}),
        ("describe", {}),
        ("regression", {"target": "price", "predictors": ["count"]}),
    ],
)
def test_a_dataset_that_is_not_there_not_ready_or_anothers_is_refused(
    post: Any, bob: Any, table: str, kind: str, data: dict[str, Any]
) -> None:
    assert problem(post(kind, dataset=str(uuid4()), **data)) == (422, "unknown_dataset", "/dataset")
    body = {"dataset": table, **data}
    others = client_of(bob).post(f"/calculations/{kind}", body, content_type="application/json")
    assert problem(others) == (422, "unknown_dataset", "/dataset")
    Dataset.objects.update(ready_at=None)
    assert problem(post(kind, dataset=table, **data)) == (409, "dataset_not_ready", "/dataset")


def test_what_takes_too_much_memory_to_resample_is_refused_before_it_is_read(post: Any, table: str) -> None:
    Dataset.objects.update(rows=10**8)
    answer = post("bootstrap", dataset=table, column="price")
    assert problem(answer) == (422, "bad_params", "/dataset")
    assert "3,052 MiB" in answer.json()["detail"]


def test_too_many_correlations_or_bins_are_refused(post: Any, imported: Any) -> None:
    names = [f"c{n}" for n in range(31)]
    dataset = imported({name: [1, 2] for name in names}, dict.fromkeys(names, "integer"))
    assert problem(post("describe", dataset=dataset, correlation=True)) == (422, "too_many_columns", "/columns")
    assert problem(post("describe", dataset=dataset, bins=200)) == (422, "bad_params", "/bins")


def test_too_many_columns_are_refused(post: Any, imported: Any) -> None:
    dataset = imported({f"c{n}": [1, 2] for n in range(61)}, {})
    assert problem(post("describe", dataset=dataset)) == (422, "too_many_columns", "/columns")


SWEEPS: dict[str, tuple[dict[str, Any], tuple[int, str, str]]] = {
    "no grid": ({"grid": {}}, (422, "bad_params", "/grid")),
    "too many points": (
        {"grid": {"option.strike": list(range(1, 102)), "option.spot": list(range(1, 11))}},
        (422, "too_many_points", "/grid"),
    ),
    "a bad value": ({"grid": {"option.strike": [100, -1]}}, (422, "bad_params", "/grid/option.strike")),
    "a misspelled name": ({"grid": {"option.strik": [90, 100]}}, (422, "bad_params", "/grid/option.strik")),
    "a misspelled name in the base": (
        {"base": {"option": {"spotty": 1}}, "grid": {"paths": [1000]}},
        (422, "bad_params", "/base/option/spotty"),
    ),
    "a name within a number": ({"grid": {"paths.x": [1, 2]}}, (422, "bad_params", "/grid/paths.x")),
    "an empty name": ({"grid": {"": [1]}}, (422, "bad_params", "/grid/")),
    "an axis without values": ({"grid": {"option.strike": []}}, (400, "invalid", "/grid/option.strike")),
    "an unknown calculation": ({"calculation": "magic", "grid": {"x": [1]}}, (400, "invalid", "/calculation")),
    "a bad base": ({"base": {"paths": 1000}, "grid": {"seed": [1, 2]}}, (422, "bad_params", "/grid/seed")),
}


@pytest.mark.parametrize(("data", "refusal"), SWEEPS.values(), ids=list(SWEEPS))
def test_a_sweep_refuses(post: Any, data: dict[str, Any], refusal: tuple[int, str, str]) -> None:
    assert problem(post("sweep", **{"base": {"option": OPTION, "paths": 1000}, **data})) == refusal


def test_a_sweep_says_what_is_wrong_as_a_person_would(post: Any) -> None:
    base = {"option": OPTION, "paths": 1000}
    answers = [
        post("sweep", base=base, grid=grid).json()["detail"] for grid in ({"option.strik": [1]}, {"paths": ["x"]})
    ]
    assert answers == [
        "The calculation takes no 'option.strik'. Did you mean option.strike?",
        "A point of the grid is not accepted: paths: A valid integer is required.",
    ]


# What the request cannot know


def failure(operation: Operation) -> str:
    assert operation.state == "failed"
    return str(operation.error["code"])


def test_a_number_that_is_none_fails_with_its_block(compute: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from calculations.options import Option

    whole = Option.payoffs
    calls: list[int] = []

    def payoffs(self: Option, normals: Any) -> Any:
        calls.append(1)
        return [values * float("nan" if len(calls) == 4 else 1) for values in whole(self, normals)]

    monkeypatch.setattr(Option, "payoffs", payoffs)
    operation = compute("monte-carlo", option=OPTION, paths=64_000)
    assert failure(operation) == "not_finite"
    assert operation.error["details"] == [{"block": 3}]


def test_a_value_of_a_dataset_that_is_no_number_fails_with_its_block(table: str, post: Any, monkeypatch: Any) -> None:
    import pyarrow as pa

    identifier = post("describe", dataset=table, columns=["price"]).json()["id"]
    operation = Operation.objects.get(pk=identifier)
    monkeypatch.setattr(Dataset, "read", lambda *_: pa.table({"price": [1.0, float("nan")]}))
    calculation = calculation_of(operation.name, operation.input)
    with pytest.raises(Fail, match="Block 0: a value of the column price is not a finite number"):
        calculation.add(calculation.empty(), 0)


def test_collinear_predictors_are_named(compute: Any, table: str) -> None:
    operation = compute("regression", dataset=table, target="price", predictors=["count", "double"])
    assert failure(operation) == "collinear"
    assert operation.error["message"] == "The column double is a combination of (intercept), count; leave it out."


def test_too_few_rows_are_counted(compute: Any, imported: Any) -> None:
    dataset = imported({"x": [1, 2], "y": [1, 3]}, {"x": "integer", "y": "integer"})
    operation = compute("regression", dataset=dataset, target="y", predictors=["x"], degree=2)
    assert failure(operation) == "too_few_rows"
    assert failure(compute("bootstrap", dataset=dataset, column="x")) == "too_few_rows"


def test_a_dataset_without_rows_is_described_and_not_resampled(compute: Any, imported: Any) -> None:
    dataset = imported({"x": [], "y": []}, {"x": "number", "y": "number"})
    assert compute("describe", dataset=dataset, correlation=True).result["rows"] == 0
    assert failure(compute("bootstrap", dataset=dataset, column="x")) == "too_few_rows"
    assert failure(compute("regression", dataset=dataset, target="y", predictors=["x"])) == "too_few_rows"


def test_too_many_groups_are_refused_once_they_are_seen(compute: Any, imported: Any) -> None:
    dataset = imported({"x": range(600), "key": range(600)}, {"x": "integer", "key": "integer"})
    assert failure(compute("describe", dataset=dataset, columns=["x"], group_by="key")) == "too_many_groups"


def test_two_means_need_two_groups(compute: Any, table: str) -> None:
    data = {"column": "price", "statistic": "difference_of_means", "other": "name"}
    assert failure(compute("bootstrap", dataset=table, **data)) == "not_two_groups"


def test_a_dataset_that_was_deleted_meanwhile_fails_who_reads_it(post: Any, table: str) -> None:
    from lro.testing import run_due

    identifier = post("describe", dataset=table).json()["id"]
    assert json.loads(json.dumps(Operation.objects.get(pk=identifier).tags)) == [f"dataset:{table}"]
    Dataset.objects.all().delete()
    run_due()
    assert failure(Operation.objects.get(pk=identifier)) == "dataset_gone"
