"""From the name of an operation and its input to the calculation. Imports what computes, so in a worker only."""

from __future__ import annotations

import os
from typing import Any

from .calculation import Calculation

#: Read by the libraries when they are first imported: one thread each, as children are what there is for more cores.
_THREADS = ("OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


def calculation_of(name: str, data: dict[str, Any]) -> Calculation:
    for variable in _THREADS:
        os.environ.setdefault(variable, "1")
    kind = name.partition(".")[2]
    if kind == "monte-carlo":
        from .simulating import simulation

        return simulation(data)
    if kind == "bootstrap":
        from .bootstrapping import Bootstrap

        return Bootstrap(data)
    if kind == "describe":
        from .describing import Description

        return Description(data)
    from .regressing import Regression

    return Regression(data)
