"""Long-running operations for Django: what the author of an operation needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .exceptions import Fail, Interrupted, Problem, RejectItem, Retry, Snooze
    from .models import Operation, Reject
    from .runtime.context import OperationContext
    from .runtime.items import ItemOperation
    from .runtime.operations import OperationTask
    from .runtime.registry import register
    from .runtime.resources import cleanup

_HOME = {
    "Fail": ".exceptions",
    "Interrupted": ".exceptions",
    "Problem": ".exceptions",
    "RejectItem": ".exceptions",
    "Retry": ".exceptions",
    "Snooze": ".exceptions",
    "Operation": ".models",
    "Reject": ".models",
    "OperationContext": ".runtime.context",
    "ItemOperation": ".runtime.items",
    "OperationTask": ".runtime.operations",
    "cleanup": ".runtime.resources",
    "register": ".runtime.registry",
}
__all__ = [
    "Fail",
    "Interrupted",
    "ItemOperation",
    "Operation",
    "OperationContext",
    "OperationTask",
    "Problem",
    "Reject",
    "RejectItem",
    "Retry",
    "Snooze",
    "cleanup",
    "register",
]


def __getattr__(name: str) -> Any:
    """Import on first use: models may not be imported while Django still loads its apps."""
    if name not in _HOME:
        raise AttributeError(f"module 'lro' has no attribute '{name}'")
    return getattr(import_module(_HOME[name], __name__), name)
