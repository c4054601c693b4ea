"""How many paths are drawn at once, and what that takes: known before anything is computed."""

from __future__ import annotations

ANTITHETIC, SOBOL = "antithetic", "sobol"
#: Few enough to stay in a processor's cache.
_CHUNK_NUMBERS = 2**18
_CHUNK_PATHS = 2**16


def chunk_paths(dimensions: int) -> int:
    return min(_CHUNK_PATHS, max(256, _CHUNK_NUMBERS // dimensions))


def memory_bytes(sampling: str, dimensions: int, block_paths: int) -> int:
    """About what a process needs beside its libraries: a net is made whole, other draws some at a time."""
    paths = block_paths if sampling == SOBOL else min(block_paths, chunk_paths(dimensions))
    return 8 * paths * (5 * dimensions + 8)
