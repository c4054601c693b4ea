"""The scripts' own tests, run by the Node.js that comes with the browser's driver."""

from __future__ import annotations

import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

FOLDER = Path(__file__).parent


def test_the_scripts_pass_their_own_tests() -> None:
    node = compute_driver_executable()[0]
    files = sorted(str(path) for path in FOLDER.glob("*.test.mjs"))
    assert files
    ended = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
