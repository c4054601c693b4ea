"""The durable record. Every other part of `lro` may die at any instant; these rows are complete at each of them."""

from .artifact import Artifact
from .attempt import Attempt
from .duty import Duty
from .event import Event
from .operation import Operation
from .reject import Reject
from .resource import Resource

__all__ = ["Artifact", "Attempt", "Duty", "Event", "Operation", "Reject", "Resource"]
