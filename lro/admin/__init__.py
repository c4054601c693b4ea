"""Operations in the Django admin: a live list, a page for each, what its reader may do; and what was put right."""

from .duties import DutyAdmin
from .operations import OperationAdmin

__all__ = ["DutyAdmin", "OperationAdmin"]
