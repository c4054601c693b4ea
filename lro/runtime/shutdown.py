"""One byte that a worker's main process shares with the processes it forks: stop at the next checkpoint."""

from __future__ import annotations

import mmap

_flag = mmap.mmap(-1, 1)


def ask() -> None:
    _flag[0] = 1


def is_asked() -> bool:
    return _flag[0] == 1


def withdraw() -> None:
    _flag[0] = 0
