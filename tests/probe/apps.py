from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings


class ProbeConfig(AppConfig):
    name = "tests.probe"
    label = "probe"

    def ready(self) -> None:
        slow_checkpoints_down(Path(settings.DATA.root) / "seconds_per_checkpoint")


def slow_checkpoints_down(path: Path) -> None:
    """After each checkpoint wait as long as the file says: what must be hurt in the middle may not be over before."""
    from lro.runtime.context import OperationContext

    checkpoint = OperationContext.checkpoint

    def slow(self: OperationContext, *args: Any, **options: Any) -> None:
        checkpoint(self, *args, **options)
        with suppress(FileNotFoundError):
            time.sleep(float(path.read_text()))

    OperationContext.checkpoint = slow  # type: ignore[method-assign]
