from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from django.apps import AppConfig

from .gate import Gate


class ProbeConfig(AppConfig):
    name = "tests.probe"
    label = "probe"

    def ready(self) -> None:
        if folder := os.environ.get("LRO_TEST_GATE"):  # tests.end_to_end.stack
            gate = Gate(Path(folder))
            _after("progress", gate.slow_down)
            _after("checkpoint", gate.hold)


def _after(verb: str, wait: Callable[[Any], None]) -> None:
    from lro.runtime.context import OperationContext

    whole = getattr(OperationContext, verb)

    @wraps(whole)
    def and_wait(op: OperationContext, *args: Any, **options: Any) -> None:
        whole(op, *args, **options)
        wait(op)

    setattr(OperationContext, verb, and_wait)
