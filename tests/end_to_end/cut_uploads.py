"""Send a large file through a proxy that cuts the connection ten times, by `tus-js-client` and by `curl`.

`python -m tests.end_to_end.cut_uploads --megabytes 200` prints how long each took, beside the same without
cuts and in one request.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.end_to_end.cutting_proxy import CuttingProxy

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "tests" / "tus"
PAGE = ROOT / "docs" / "resumable-uploads.md"
#: Sends the file to the address, and tells the operation that imports it.
Sender = Callable[[str, str, Path], str]


class Sent(NamedTuple):
    operation: str
    seconds: float
    cuts: int


def write_csv(path: Path, megabytes: float) -> str:
    """Rows of which no two are alike; their SHA-256."""
    size, number, digest = int(megabytes * 1_000_000), 0, hashlib.sha256()
    with path.open("wb") as file:
        while file.tell() < size:
            rows = [f"{n},{n * 2654435761 % 2**32},{os.urandom(8).hex()}\n" for n in range(number, number + 10_000)]
            block = ("" if number else "id,hash,noise\n") + "".join(rows)
            number += 10_000
            digest.update(block.encode())
            file.write(block.encode())
    return digest.hexdigest()


def by_tus_js(address: str, token: str, path: Path, chunk: int = 0) -> str:
    from tests.end_to_end.socketio_client import NODE, install

    problem = install(CLIENTS)
    assert not problem, problem
    command = [str(NODE), "client.mjs", f"{address}/uploads/files/", token, str(path), str(chunk)]
    ended = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return str(json.loads(ended.stdout)["operation"])


def by_curl(address: str, token: str, path: Path) -> str:
    """By the script of the page on resumable uploads, as it stands there."""
    script = re.findall(r"```sh\n(#!/bin/bash.*?)```", PAGE.read_text(), re.DOTALL)[0]
    command = ["bash", "-c", script, "upload.sh", address, str(path)]
    told = os.environ | {"TOKEN": token}
    ended = subprocess.run(command, env=told, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def in_one_request(address: str, token: str, path: Path) -> str:
    """As a form, which a cut would lose: what the others are compared with."""
    command = [
        "curl",
        "-sSf",
        "-H",
        f"Authorization: Bearer {token}",
        "-F",
        f"file=@{path}",
        f"{address}/uploads/import",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return str(json.loads(ended.stdout)["id"])


def peak_mib(pid: int) -> float:
    """The most memory that the process had so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def send(stack: Any, sender: Sender, path: Path, cuts: int) -> Sent:
    size = path.stat().st_size
    with CuttingProxy(stack.port, [size * (n + 1) // (cuts + 1) for n in range(cuts)]) as proxy:
        began = time.monotonic()
        operation = sender(proxy.url, stack.token(), path)
        return Sent(operation, time.monotonic() - began, proxy.done)


def stored_digest(stack: Any, operation: str) -> str:
    """Of the bytes that the import works on."""
    with stack.files.open(f"uploads/{stack.operation(operation).input['upload']}") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Print how each client fared; 1 where bytes differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--cuts", type=int, default=10)
    options = parser.parse_args()
    from tests.end_to_end.stack import running

    is_sound = True
    with tempfile.TemporaryDirectory() as folder, running() as stack:
        path = Path(folder, "large.csv")
        digest = write_csv(path, options.megabytes)
        runs = [(in_one_request, 0), *((sender, cuts) for sender in (by_tus_js, by_curl) for cuts in (0, options.cuts))]
        for sender, cuts in runs:
            sent = send(stack, sender, path, cuts)
            seen = stack.client().get(f"/operations/{sent.operation}").json()
            is_equal = stored_digest(stack, sent.operation) == digest
            is_sound &= is_equal and sent.cuts == cuts
            print(
                f"{sender.__name__}: {options.megabytes:.0f} MB, {sent.cuts} cuts, {sent.seconds:.1f} s, "
                f"{options.megabytes / sent.seconds:.0f} MB/s, bytes {'equal' if is_equal else 'DIFFERENT'}, "
                f"its import is {seen['state']}, web process at most {peak_mib(stack.pid('web')):.0f} MiB",
                flush=True,
            )
            stack.client().post(f"/operations/{sent.operation}/cancel")
            stack.await_end(sent.operation)
    return 0 if is_sound else 1


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    logging.disable(logging.INFO)
    sys.exit(main())
