"""Operations in the Django admin: a live list, a page for each, and what its reader may do there."""

from .operations import OperationAdmin

__all__ = ["OperationAdmin"]
