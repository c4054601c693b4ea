"""An import that is hurt beside one that is not: the rows, the rejects, and the work that was done twice.

Rows are compared by the SHA-256 of all parts' content in order, rejects by that of all that is known of
them.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

from lro.models import Operation
from lro.states import HELD
from tests.end_to_end.stack import ALIAS, Stack
from tests.uploads.generator import Truth
from uploads.sources.delimited import block_bytes


class Outcome(NamedTuple):
    """What an import left: two imports of one file are equal in all of it."""

    rows: int
    rejected: int
    content: str
    rejects: str


class Hurt(NamedTuple):
    outcome: Outcome
    kills: int
    #: Blocks that were read and not yet in a checkpoint, kill by kill.
    repeated: list[float]
    seconds: float


def outcome_of(stack: Stack, operation: Operation) -> Outcome:
    from uploads.models import Dataset

    assert operation.state == "succeeded", operation.error
    dataset = Dataset.objects.using(ALIAS).get(operation_id=operation.pk)
    folder = Path(stack.files.path(f"datasets/{dataset.pk}"))
    names = list(dataset.parts.using(ALIAS).order_by("index").values_list("file", flat=True))
    assert sorted(path.name for path in folder.iterdir()) == sorted(names), "files were left behind"
    known = ("position", "offset", "column", "code", "message", "raw")
    rejects = hashlib.sha256()
    for row in operation.rejects.using(ALIAS).order_by("position").values_list(*known).iterator():
        rejects.update(repr(row).encode())
    result: Any = operation.result
    content = _content([folder / name for name in names])
    return Outcome(result["rows"], result["rejected"], content, rejects.hexdigest())


def _content(paths: list[Path]) -> str:
    """The rows as text, however they are cut into parts."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    digest = hashlib.sha256()
    for path in paths:
        sink = pa.BufferOutputStream()
        pa_csv.write_csv(pq.read_table(path), sink, pa_csv.WriteOptions(include_header=False))
        digest.update(sink.getvalue())
    return digest.hexdigest()


def unhurt(stack: Stack, path: Path, **fields: str) -> Outcome:
    identifier = stack.upload(stack.client(), path, **fields)["id"]
    return outcome_of(stack, stack.await_end(identifier, within=900))


def hurt(stack: Stack, path: Path, chance: random.Random, kills: int, **fields: str) -> Hurt:
    """Kill whoever works on the import, or on one of its ranges, at `kills` random shares of its way."""
    began = time.monotonic()
    identifier = stack.upload(stack.client(), path, **fields)["id"]
    repeated: list[float] = []
    for percent in sorted(chance.uniform(1, 95) for _ in range(kills)):
        if (lost := _kill(stack, identifier, percent, path, chance)) is None:
            break  # it ended before
        repeated.append(lost)
    operation = stack.await_end(identifier, within=900)
    return Hurt(outcome_of(stack, operation), len(repeated), repeated, time.monotonic() - began)


def _kill(stack: Stack, identifier: str, percent: float, path: Path, chance: random.Random) -> float | None:
    """Wait until so much is imported, kill one of the processes; the blocks that it had read beyond its checkpoint."""
    size, block = path.stat().st_size, block_bytes(path)
    while True:
        family = list(Operation.objects.using(ALIAS).filter(root_id=identifier))
        if next(row for row in family if str(row.pk) == identifier).is_terminal:
            return None
        # Who is killed again and again without a checkpoint between is put into quarantine, and rightly.
        busy = [row for row in family if row.state in HELD and _reads(row) and not row.crashes]
        if busy and 100 * sum(_done_bytes(row) for row in family) / size >= percent:
            lost = _stop_and_kill(chance.choice(busy), block)
            if lost is not None:
                return lost
        time.sleep(0.01)


def _reads(row: Operation) -> bool:
    return isinstance(row.checkpoint, dict) and bool(row.checkpoint.get("source"))


def _done_bytes(row: Operation) -> int:
    if not _reads(row):
        return 0
    first = row.input["range"][0] if "range" in row.input else 0
    checkpoint: Any = row.checkpoint
    return int(checkpoint["source"]["offset"]) - first


def _stop_and_kill(row: Operation, block: int) -> float | None:
    """None where it was over before."""
    pid = int(row.worker.rsplit("/", 1)[1])
    try:
        os.kill(pid, signal.SIGSTOP)
        read = _position(pid, str(row.input["upload"]))
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    if read is None:
        return None
    stored: Any = Operation.objects.using(ALIAS).get(pk=row.pk).checkpoint
    return max(0.0, (read - stored["source"]["offset"]) / block)


def _position(pid: int, upload: str) -> int | None:
    """How far a process has read the file; None where it has it open no more, or not yet."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link).endswith(f"uploads/{upload}"):
                return int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[1])
        except FileNotFoundError:
            continue
    return None


def compare(
    stack: Stack, path: Path, truth: Truth, kills: int, seed: int, slowed_by: float = 0.0, **fields: str
) -> tuple[Outcome, Hurt, list[str]]:
    """An unhurt import by one process, a hurt one that is slowed down, and what is wrong with the second."""
    whole = unhurt(stack, path, parallel="1")
    with stack.gate.slowing_down(slowed_by):
        found = hurt(stack, path, random.Random(seed), kills, **fields)
    wrong = [f"{name} differs" for name in Outcome._fields if getattr(whole, name) != getattr(found.outcome, name)]
    if (whole.rows, whole.rejected) != (truth.good_rows, len(truth.rejects)):
        wrong.append("the unhurt one is not the generator's truth")
    wrong += [f"{blocks:.2f} blocks were read again" for blocks in found.repeated if blocks > 2]
    return whole, found, wrong
