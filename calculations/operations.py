"""The operations under `/calculations/`: heavy computations that sharpen while one watches."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from lro import OperationContext, OperationTask, datasets, register

from . import checks, results, serializers, sweep_checks

#: A number that every client's JSON holds exactly.
_SEED_BITS = 48


class BlockOperation(OperationTask):
    """A calculation in blocks, which may be dealt out to children and ended early with the answer so far."""

    queue = "default"

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        return [datasets.tag(prepared["dataset"])] if "dataset" in prepared else []

    @classmethod
    def identity(cls, prepared: dict[str, Any]) -> Any:
        """Two requests without a seed are the same, though another one was drawn for each."""
        return {**prepared, "seed": None} if prepared.get("is_seed_drawn") else prepared

    def run(self, op: OperationContext, *args: Any, **data: Any) -> dict[str, Any]:
        from .block_run import BlockRun
        from .kinds import calculation_of

        shards = data.pop("shards", 1)
        return BlockRun(op, calculation_of(self.name, data), self.name, data, shards).run()


def _with_seed(data: dict[str, Any]) -> dict[str, Any]:
    """Whoever gives no seed is told the one that was drawn, and can have the same digits again."""
    if data.get("seed") is not None:
        return data
    return {**data, "seed": secrets.randbits(_SEED_BITS), "is_seed_drawn": True}


@register("calculations.monte-carlo")
class MonteCarlo(BlockOperation):
    """Price an option, or find the value at risk of a portfolio, from random paths

    Streams `calculations.partial` with the answer, its standard error and a histogram; ends at `target_error` where one
    is given. The same input with the same seed gives the same digits, whatever happened on the way.
    """

    input_serializer = serializers.MonteCarloInput
    result_serializer = results.MonteCarloResult

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        return _with_seed(checks.monte_carlo(data))


@register("calculations.bootstrap")
class BootstrapOperation(BlockOperation):
    """Find the confidence interval of a statistic of a dataset's column by resampling it

    Percentile, basic and BCa intervals come together. The resampled values are kept as `resamples.csv`.
    """

    input_serializer = serializers.BootstrapInput
    result_serializer = results.BootstrapResult

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        return _with_seed(checks.bootstrap(data))


@register("calculations.describe")
class Describe(BlockOperation):
    """Describe the columns of a dataset: statistics, quantiles, histograms, groups, correlations

    One pass in bounded memory. Sums are exact; a quantile is too, or tells how far it may be off.
    """

    input_serializer = serializers.DescribeInput
    result_serializer = results.DescribeResult

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        return checks.describe(data)


@register("calculations.regression")
class RegressionOperation(BlockOperation):
    """Fit a column of a dataset by others with least squares, and tell how good the fit is

    Solved without rounding from exact sums, however many rows there are.
    """

    input_serializer = serializers.RegressionInput
    result_serializer = results.RegressionResult

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        return checks.regression(data)


@register("calculations.blocks")
class Blocks(OperationTask):
    """Some blocks of a calculation, for the operation that it was dealt out by."""

    is_internal: ClassVar[bool] = True

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        data = prepared["data"]
        return [datasets.tag(data["dataset"])] if "dataset" in data else []

    def run(self, op: OperationContext, *args: Any, **data: Any) -> dict[str, Any]:
        from .block_run import run_span
        from .kinds import calculation_of

        calculation = calculation_of(data["calculation"], data["data"])
        return run_span(op, calculation, data["first"], data["last"], data["whole"])


@register("calculations.sweep")
class Sweep(OperationTask):
    """Run another calculation for each point of a grid of parameters

    The table of the points fills while they are computed: `GET /calculations/{id}/table`. It ends as `table.csv`.
    """

    input_serializer = serializers.SweepInput
    result_serializer = results.SweepResult

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        return sweep_checks.sweep(data, owner)

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        base = prepared["base"]
        return [datasets.tag(base["dataset"])] if "dataset" in base else []

    @classmethod
    def identity(cls, prepared: dict[str, Any]) -> Any:
        return {**prepared, "base": {**prepared["base"], "seed": None}} if prepared["is_seed_drawn"] else prepared

    def run(self, op: OperationContext, *args: Any, **data: Any) -> dict[str, Any]:
        from .sweeping import SweepRun

        data.pop("is_seed_drawn")
        return SweepRun(op, **data).run()


def task_of(calculation: str) -> type[BlockOperation]:
    """The class of `calculations.{calculation}`."""
    classes: tuple[type[BlockOperation], ...] = (MonteCarlo, BootstrapOperation, Describe, RegressionOperation)
    return next(cls for cls in classes if cls.name == f"calculations.{calculation}")
