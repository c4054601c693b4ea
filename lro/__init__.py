"""Long-running operations for Django: what the author of an operation needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .exceptions import Fail, Interrupted, LroError, Problem, RejectItem, Retry, Snooze
    from .models import Operation, Reject
    from .runtime.context import OperationContext
    from .runtime.items import ItemOperation
    from .runtime.operations import OperationTask
    from .runtime.reconciler import chore
    from .runtime.registry import register
    from .runtime.resources import cleanup
    from .runtime.submission import submit

_HOME = {
    "Fail": ".exceptions",
    "Interrupted": ".exceptions",
    "LroError": ".exceptions",
    "Problem": ".exceptions",
    "RejectItem": ".exceptions",
    "Retry": ".exceptions",
    "Snooze": ".exceptions",
    "Operation": ".models",
    "Reject": ".models",
    "OperationContext": ".runtime.context",
    "ItemOperation": ".runtime.items",
    "OperationTask": ".runtime.operations",
    "chore": ".runtime.reconciler",
    "cleanup": ".runtime.resources",
    "register": ".runtime.registry",
    "submit": ".runtime.submission",
}
__all__ = [
    "Fail",
    "Interrupted",
    "ItemOperation",
    "LroError",
    "Operation",
    "OperationContext",
    "OperationTask",
    "Problem",
    "Reject",
    "RejectItem",
    "Retry",
    "Snooze",
    "chore",
    "cleanup",
    "register",
    "submit",
]


def __getattr__(name: str) -> Any:
    """Import on first use: models may not be imported while Django still loads its apps."""
    if name not in _HOME:
        raise AttributeError(f"module 'lro' has no attribute '{name}'")
    return getattr(import_module(_HOME[name], __name__), name)
