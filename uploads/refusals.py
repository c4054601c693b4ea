"""The one way to say that a file cannot be imported at all."""

from collections.abc import Mapping, Sequence
from typing import Any


class Refusal(Exception):
    """A file that cannot be imported; becomes a 4xx before any work is queued.

    `code` is for machines, `message` for people, `details` a list of JSON objects
    (ranked dialect candidates, for example).
    """

    def __init__(self, code: str, message: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = [dict(detail) for detail in details]
