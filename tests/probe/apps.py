from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import AppConfig


class ProbeConfig(AppConfig):
    name = "tests.probe"
    label = "probe"

    def ready(self) -> None:
        if path := os.environ.get("LRO_TEST_SECONDS_PER_CHECKPOINT"):  # tests.end_to_end.stack
            slow_checkpoints_down(Path(path))


def slow_checkpoints_down(path: Path) -> None:
    """After each checkpoint wait as long as the file says: what must be hurt in the middle may not be over before."""
    from lro.runtime.context import OperationContext

    checkpoint = OperationContext.checkpoint

    def slow(self: OperationContext, *args: Any, **options: Any) -> None:
        checkpoint(self, *args, **options)
        with suppress(FileNotFoundError):
            time.sleep(float(path.read_text()))

    OperationContext.checkpoint = slow  # type: ignore[method-assign]
