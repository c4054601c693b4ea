"""Child processes that die with this one, and stop without leaving anything behind."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

Output = IO[bytes] | int

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str],
    *,
    death_signal: signal.Signals,
    output: Output,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own; it gets `death_signal` when this process dies, however that happens."""
    if threading.current_thread() is not threading.main_thread():
        # Linux sends the death signal when the *thread* that forked ends.
        raise RuntimeError("child processes are spawned from the main thread only")
    parent = os.getpid()
    with warnings.catch_warnings():
        # What runs between fork and exec below takes no lock that a thread could hold.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        process = _popen(command, parent, death_signal, output, environment, user)
    _feed(process, stdin)
    return process


def stop(
    stopping: Mapping[subprocess.Popen[bytes], tuple[signal.Signals, float]],
    is_hurried: Callable[[], bool] = lambda: False,
) -> None:
    """Ask every process with its signal; kill its whole group after its grace in seconds, or at once when hurried."""
    started = time.monotonic()
    for process, (polite, _) in stopping.items():
        with suppress(ProcessLookupError):
            process.send_signal(polite)
    for process, (_, grace) in stopping.items():
        while process.poll() is None and time.monotonic() - started < grace and not is_hurried():
            time.sleep(0.02)
        kill_group(process)
        process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the session that `process` leads, itself included."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _popen(
    command: Sequence[str],
    parent: int,
    death_signal: signal.Signals,
    output: Output,
    environment: Mapping[str, str] | None,
    user: str | None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        preexec_fn=lambda: _die_with(parent, death_signal),
    )


def _die_with(parent: int, death_signal: signal.Signals) -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
    # The parent may have died before the call above: then no signal would ever come.
    if os.getppid() != parent:
        os._exit(1)


def _feed(process: subprocess.Popen[bytes], stdin: bytes) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(stdin)
