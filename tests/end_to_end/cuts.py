"""Cut the layers out one by one, each in a copy of the project, and see that the walk notices: `make cuts`.

A walk that still passes without a layer does not walk through it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WALK = "tests/end_to_end/test_walk.py::test_a_file_is_uploaded_and_imported_before_ones_eyes"


class Cut(NamedTuple):
    layer: str
    file: str
    whole: str
    cut: str

    def source(self, root: Path) -> str:
        text = (root / self.file).read_text()
        assert text.count(self.whole) == 1, f"{self.file} does not have exactly one: {self.whole}"
        return text

    def apply(self, root: Path) -> None:
        text = self.source(root)
        (root / self.file).write_text(text.replace(self.whole, self.cut))


CUTS = [
    Cut("the page sends the file", "uploads/static/uploads/resumable.js", "request.send(", "void ("),
    Cut("the upload is kept on disk", "uploads/operations.py", "file.keep_as(upload.path)", "pass"),
    Cut("submission records the row", "lro/lifecycle/transitions.py", "journal.begin(operation, ", "print("),
    Cut("submission wakes a worker", "lro/runtime/submission.py", "queueing.wake(operation)", "None"),
    Cut("queueing sends the id", "lro/runtime/queueing.py", "current_app.send_task(", "dict(name="),
    Cut("Celery runs the task", "lro/tasks.py", "executor.work_off(UUID(operation_id))", "pass"),
    Cut(
        "the executor claims",
        "lro/runtime/executor.py",
        "held = claim(operation_id)",
        "held: Operation | None = None",
    ),
    Cut("the executor runs the class", "lro/runtime/executor.py", "task.run(self.context, **self.held.input)", "None"),
    Cut("the executor settles", "lro/runtime/executor.py", "attempt.settle(outcome)", "pass"),
    Cut("the module parses", "uploads/batch_run.py", "in kept:\n            self.op", "in []:\n            self.op"),
    Cut("the module writes parts", "uploads/batch_run.py", "if not table.num_rows:", "if table.num_rows:"),
    Cut("the module reports", "uploads/batch_run.py", "self.op.progress(", "dict(done="),
    Cut("the checkpoint keeps the rejects", "lro/runtime/rejects.py", "_copy(operation_id, rejects)", "pass"),
    Cut(
        "the checkpoint saves for the module",
        "lro/runtime/context.py",
        "save()\n\n    def _commit_late(",
        "pass\n\n    def _commit_late(",
    ),
    Cut(
        "the heartbeat beats",
        "lro/runtime/heartbeat.py",
        "                self._beat()",
        "                pass",
    ),
    Cut("the lease's renewal carries progress", "lro/lifecycle/leases.py", "if progress is not None:", "if False:"),
    Cut(
        "the journal keeps events",
        "lro/events/journal.py",
        "bulk_create(\n        Event(",
        "none()\n    list(\n        Event(",
    ),
    Cut("the publisher hints", "lro/events/publisher.py", "_outbox.put(hint.operation, hint)", "pass"),
    Cut("the channel layer carries hints", "lro/events/publisher.py", "await layer.group_add(GROUP, channel)", "pass"),
    Cut("the hub reads the rows", "lro/transports/hub.py", "is_all = len(events) < PAGE", "events, is_all = [], True"),
    Cut("the hub hands the news on", "lro/transports/hub.py", "follower.take(news, hint.owner)", "pass"),
    Cut("following queues the news", "lro/transports/backlog.py", "self._queue.append(", "print("),
    Cut("the socket is routed", "lro/transports/websocket/routing.py", "ws/operations/", "ws/nothing/"),
    Cut(
        "the consumer authenticates",
        "lro/transports/websocket/consumers.py",
        "await self._send(await self._conversation.authenticate(token))",
        "pass",
    ),
    Cut("the consumer sends", "lro/transports/websocket/consumers.py", "await self.base_send(", "str("),
    Cut("REST reads the operation", "lro/transports/payloads.py", '"state": row.state,', '"state": "queued",'),
    Cut("the client hears", "lro/static/lro/following.js", 'case "event": return', 'case "never": return'),
    Cut(
        "the client orders events",
        "lro/static/lro/sequence.js",
        "if (event.sequence <= operation.sequence)",
        "if (true)",
    ),
    Cut("the screen draws", "lro/static/lro/screens/operation.js", "    this.renderHero(operation);\n", ""),
    Cut("the bar is drawn", "lro/static/lro/elements.js", "if (value !== null) this.#bar.value = value;\n    else", ""),
    Cut(
        "the summary is shown",
        "uploads/static/uploads/summary.js",
        'registerResult("uploads.import", importSummary)',
        "void registerResult",
    ),
]


def main(wanted: list[str]) -> int:
    """Print how each cut ended; 1 where the walk did not notice one, or does not pass without any."""
    cuts = [cut for cut in CUTS if not wanted or any(word in cut.layer for word in wanted)]
    is_sound = _report("nothing", passes(None), expected=True)
    for cut in cuts:
        is_sound &= _report(cut.layer, passes(cut), expected=False)
    return 0 if is_sound else 1


def passes(cut: Cut | None) -> bool:
    """Whether the walk passes in a copy of the project without what `cut` takes out."""
    with _copy() as root:
        if cut is not None:
            cut.apply(root)
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", WALK]
        return subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode == 0


@contextmanager
def _copy() -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    with tempfile.TemporaryDirectory(prefix="lro-cut-") as folder:
        for name in filter(None, listed.stdout.split("\0")):
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        yield Path(folder)


def _report(layer: str, is_passed: bool, *, expected: bool) -> bool:
    verdict = "passes" if is_passed else "fails"
    note = "" if is_passed is expected else "   <- must not"
    print(f"{time.strftime('%H:%M:%S')}  without {layer}, the walk {verdict}{note}", flush=True)
    return is_passed is expected


if __name__ == "__main__":
    os.environ.pop("PYTEST_ADDOPTS", None)
    sys.exit(main(sys.argv[1:]))
