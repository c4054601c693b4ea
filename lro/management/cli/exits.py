"""How a command ends: scripts read the code, people the sentence."""

from __future__ import annotations

from enum import IntEnum

from django.core.management.base import CommandError


class Exit(IntEnum):
    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    NOT_FOUND = 4
    TIMED_OUT = 5
    INTERRUPTED = 130


def ending(code: Exit, message: str) -> CommandError:
    return CommandError(message, returncode=code)
