"""What is told of a calculation that is refused, or fails by its data: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from uploads.models import Dataset

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

OPTION = {"spot": 100, "strike": 105, "volatility": 0.2, "maturity": 1}
PORTFOLIO: dict[str, Any] = {"weights": [0.5, 0.5], "covariance": [[4e-4, 1e-4], [1e-4, 3e-4]]}
ASIAN = {**OPTION, "kind": "asian", "steps": 1000}


@pytest.fixture
def table(imported: Callable[..., str]) -> str:
    columns = {"price": [1.5, 2.5, 4.0], "count": [1, 2, 3], "name": ["a", "b", "c"]}
    return imported(columns, {"price": "number", "count": "integer"})


def portfolio(**changes: Any) -> dict[str, Any]:
    return {"portfolio": {**PORTFOLIO, **changes}}


MODELS: list[tuple[str, dict[str, Any], str]] = [
    ("monte-carlo", {}, "Give either 'option' or 'portfolio'."),
    (
        "monte-carlo",
        {"option": OPTION, "target_error": 0},
        "A target for the standard error is greater than 0.",
    ),
    ("monte-carlo", portfolio(means=[0.1]), "There are 2 weights and 1 means; each asset has one of both."),
    (
        "monte-carlo",
        portfolio(degrees_of_freedom=2),
        "With 2 degrees of freedom there is no covariance; give more than 2.",
    ),
    ("monte-carlo", portfolio(covariance=[[1]]), "The covariance of 2 assets is a table of 2 × 2 numbers."),
    (
        "monte-carlo",
        portfolio(covariance=[[1, 0.5], [0.4, 1]]),
        "The covariance is not symmetric: [0][1] is 0.5, [1][0] is 0.4.",
    ),
    (
        "monte-carlo",
        portfolio(covariance=[[1, 2], [2, 1]]),
        "The covariance is not positive definite: its smallest eigenvalue is -1. "
        "Leave out what is a mixture of other assets, or add to the diagonal.",
    ),
    ("monte-carlo", {"option": OPTION, "block_paths": 1000}, "The paths of a block are a power of two, as 1024."),
    (
        "monte-carlo",
        {"option": ASIAN, "sampling": "sobol", "block_paths": 2**16},
        "A block of 65,536 paths in 1,000 dimensions takes 2,504 MiB, 256 are allowed; give a smaller 'block_paths'.",
    ),
    ("sweep", {"base": {"option": OPTION}, "grid": {}}, "A grid has at least one parameter."),
    (
        "sweep",
        {"base": {"option": OPTION}, "grid": {"option.strike": list(range(1, 102)), "option.spot": list(range(1, 11))}},
        "The grid has 1,010 points, at most 1,000 are computed; leave some values out.",
    ),
    (
        "sweep",
        {"base": {"option": OPTION, "pathz": 1000}, "grid": {"option.strike": [90]}},
        "The calculation takes no 'pathz'. Did you mean paths?",
    ),
    (
        "sweep",
        {"base": {"option": OPTION}, "grid": {"option.strike": [90, -1]}},
        "A point of the grid is not accepted: option: strike: Ensure this value is greater than 0.",
    ),
]
DATASETS: list[tuple[str, dict[str, Any], str]] = [
    (
        "bootstrap",
        {"column": "name"},
        "The column 'name' has the type string. Numeric are price, count.",
    ),
    ("bootstrap", {"column": "prise"}, "The dataset table.csv has no column 'prise'. Did you mean price?"),
    (
        "bootstrap",
        {"column": "price", "statistic": "correlation"},
        "The statistic correlation needs another column in 'other'.",
    ),
    ("bootstrap", {"column": "price", "other": "count"}, "The statistic mean does not take 'other'."),
    ("regression", {"target": "price", "predictors": ["count", "count"]}, "The column count is named twice."),
    (
        "regression",
        {"target": "price", "predictors": ["count", "name"]},
        "The column 'name' has the type string. Numeric are price, count.",
    ),
]
FAILURES: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    (
        "bootstrap",
        {"column": "x"},
        {"x": [1, 2]},
        *("too_few_rows", "There are 2 complete rows, a bootstrap needs at least 3."),
    ),
    (
        "bootstrap",
        {"column": "x", "statistic": "difference_of_means", "other": "y"},
        {"x": [1, 2, 3], "y": [1, 2, 3]},
        *("not_two_groups", "The column y has 3 values; to compare two means it must have 2."),
    ),
    (
        "regression",
        {"target": "y", "predictors": ["x"]},
        {"x": [1], "y": [2]},
        *("too_few_rows", "There are 1 complete rows, 2 coefficients need at least as many."),
    ),
    (
        "regression",
        {"target": "y", "predictors": ["x"], "degree": 3},
        {"x": ["1e200", "2e200", "3e200", "5e200"], "y": [1, 2, 3, 4]},
        *("not_finite", "Block 0: a power of x is out of the range of floats."),
    ),
    (
        "describe",
        {"columns": ["x"], "group_by": "y"},
        {"x": range(501), "y": range(501)},
        *("too_many_groups", "There are more than 500 groups; name fewer columns, or another group."),
    ),
]


@pytest.mark.parametrize(("kind", "data", "message"), MODELS)
def test_a_model_is_refused_with_its_remedy(post: Any, kind: str, data: dict[str, Any], message: str) -> None:
    body = post(kind, **({"calculation": "monte-carlo"} if kind == "sweep" else {}), **data).json()
    assert (body["status"], body["detail"]) == (422, message)
    assert body["errors"][0]["message"] == message


@pytest.mark.parametrize(("kind", "data", "message"), DATASETS)
def test_a_column_is_refused_with_those_that_will_do(
    post: Any, table: str, kind: str, data: dict[str, Any], message: str
) -> None:
    body = post(kind, dataset=table, **data).json()
    assert (body["status"], body["detail"]) == (422, message)


def test_a_polynomial_of_two_is_refused(post: Any, table: str) -> None:
    body = post("regression", dataset=table, target="price", predictors=["count", "price2"], degree=2).json()
    assert body["detail"] == "The dataset table.csv has no column 'price2'. Did you mean price?"
    Dataset.objects.update(columns=[{"name": name, "type": "number"} for name in ("y", "a", "b")])
    body = post("regression", dataset=table, target="y", predictors=["a", "b"], degree=2).json()
    assert body["detail"] == "A polynomial has one predictor."


def test_too_much_for_one_answer_is_counted(post: Any, table: str) -> None:
    def columns(count: int) -> None:
        Dataset.objects.update(columns=[{"name": f"c{n}", "type": "number"} for n in range(count)])

    columns(61)
    told = post("describe", dataset=table).json()["detail"]
    assert told == "There are 61 columns, at most 60 are described at once; name some."
    columns(31)
    told = post("describe", dataset=table, correlation=True).json()["detail"]
    assert told == "There are 31 numeric columns, at most 30 are correlated at once; name some."
    told = post("describe", dataset=table, bins=200).json()["detail"]
    assert told == "31 histograms of 200 bins are too much for one answer; take fewer bins."


@pytest.mark.parametrize(("kind", "data", "columns", "code", "message"), FAILURES)
def test_what_only_the_data_can_tell_fails_with_the_place(
    compute: Any, imported: Any, kind: str, data: dict[str, Any], columns: dict[str, Any], code: str, message: str
) -> None:
    dataset = imported(columns, dict.fromkeys(columns, "number"))
    operation = compute(kind, dataset=dataset, **data)
    assert (operation.state, operation.error["code"], operation.error["message"]) == ("failed", code, message)


def test_a_calculation_that_has_ended_cannot_be_stopped(client: Any, compute: Any) -> None:
    operation = compute("monte-carlo", option=OPTION, paths=1000)
    answer = client.post(f"/calculations/{operation.pk}/stop").json()
    assert (answer["status"], answer["code"]) == (409, "not_allowed_now")
    assert answer["detail"] == "The calculation is succeeded; only one that runs can be ended with its answer so far."
