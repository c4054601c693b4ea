"""Operations named by what they do, for the tests of everything around them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from rest_framework import serializers

from lro import Fail, Operation, OperationContext, OperationTask, Problem, Retry, Snooze, cleanup, datasets, register
from lro.events import journal
from lro.lifecycle.leases import held_by

from . import item_operations  # noqa: F401


class CountsInput(serializers.Serializer[Any]):
    to = serializers.IntegerField(min_value=0, max_value=10_000_000)
    seconds_each = serializers.FloatField(default=0.0, min_value=0, max_value=10)


@register("probe.counts")
class Counts(OperationTask):
    """Counts with `op.track`."""

    input_serializer = CountsInput

    def run(self, op: OperationContext, *, to: int, seconds_each: float) -> dict[str, int]:
        count = 0
        for _ in op.track(range(to), unit="numbers"):
            time.sleep(seconds_each)
            count += 1
        return {"counted": count}


class ReadsInput(serializers.Serializer[Any]):
    dataset = datasets.DatasetField()


@register("probe.counts-on")
class CountsOn(Counts):
    """Has a minute in which to hear of a cancel."""

    cancel_grace = 60.0


@register("probe.reads")
class Reads(OperationTask):
    """Reads a dataset to its end."""

    input_serializer = ReadsInput

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        return [datasets.tag(prepared["dataset"])]

    def run(self, op: OperationContext, *, dataset: str) -> dict[str, Any]:
        table = datasets.load(dataset)
        parts = [table.read(part).to_pydict() for part in range(len(table.part_rows))]
        return {"parts": parts}


@register("probe.saves")
class Saves(OperationTask):
    """Sets every item aside as a reject, one checkpoint each: each must take effect exactly once."""

    input_serializer = CountsInput

    def run(self, op: OperationContext, *, to: int, seconds_each: float) -> dict[str, int]:
        for index in range(op.cursor or 0, to):
            time.sleep(seconds_each)
            op.reject(index, "probe", f"Item {index}.")
            op.checkpoint(index + 1)
            op.progress(index + 1, to, unit="items")
        return {"saved": to}


@register("probe.feels-its-way")
class FeelsItsWay(OperationTask):
    """Learns from each item how many it takes, and rejects it."""

    def run(self, op: OperationContext, *, to: int) -> dict[str, int]:
        while (done := op.cursor or 0) < to:
            op.checkpoint(lambda: done + 2, save=lambda: op.reject(done, "probe", f"Item {done}."))
        return {"felt": to}


@register("probe.chatters")
class Chatters(OperationTask):
    """Says so many things, each of so many bytes, and the `texts`; before each of `holds_at` it waits for a file."""

    def run(
        self,
        op: OperationContext,
        *,
        things: int = 0,
        bytes: int = 0,
        texts: list[str] | None = None,
        seconds_each: float = 0.0,
        at_once: int = 1,
        holds_at: Sequence[int] = (),
        gate: str = "",
    ) -> dict[str, int]:
        for index in range(0, things, at_once):
            if index in holds_at:
                self._wait(op, Path(f"{gate}-{index}"))
            said = [_thing(number, bytes) for number in range(index, min(things, index + at_once))]
            if journal.append(op.id, said, where=held_by(op._held.fence)) is None:
                op.check()
            op.progress(index + at_once, things)
            time.sleep(seconds_each)
        for text in texts or ():
            op.log(text, said=text)
        return {"things": things}

    def _wait(self, op: OperationContext, gate: Path) -> None:
        while not gate.exists():
            op.check()
            time.sleep(0.01)


def _thing(number: int, size: int) -> tuple[str, dict[str, Any]]:
    """A fact, as JSON of so many bytes if that is more than it needs; every tenth is a result so far."""
    data = {"number": number, "text": ""}
    data["text"] = "x" * max(0, size - len(json.dumps(data)))
    return ("log", "partial")[number % 10 == 9], data


@register("probe.fails")
class Fails(OperationTask):
    def run(self, op: OperationContext, **data: Any) -> None:
        raise Fail("no_luck", "It was never going to work.", [{"place": "here"}])


@register("probe.flaky")
class Flaky(OperationTask):
    """Fails until the attempt that `succeeds_at` names."""

    def run(self, op: OperationContext, *, succeeds_at: int, after: float = 0.0) -> dict[str, int]:
        if op.attempt < succeeds_at:
            raise Retry("not yet", after=after)
        return {"attempt": op.attempt}


@register("probe.stammers")
class Stammers(OperationTask):
    """Says, in the way it is told to, what cannot be stored; `code` is that of a character."""

    def run(self, op: OperationContext, *, how: str, code: int = 0, lasts: bool = False) -> None:
        text = f"a{chr(code)}b"
        said: dict[str, Any] = {
            "an error": ValueError(text),
            "a code": Fail(text, "It failed."),
            "details": Fail("bad", "It failed.", [{"value": text}]),
            "long details": Fail("bad", "It failed.", [{"value": "x" * 70_000}]),
            "an object": Fail("bad", "It failed.", [{"value": object()}]),
            "a retry": Retry(text, after=0),
            "a nap": Snooze(text, after=0),
        }
        if op.attempt == 1 and how in said:
            raise said[how]
        if how == "progress":
            op.progress(1, 2, message=text)
        if how == "a number":
            op.progress(cast("int", "1"), 2)
        for _ in range(2_000 * lasts):
            time.sleep(0.01)
            op.check()


@register("probe.breaks")
class Breaks(OperationTask):
    max_attempts = 2

    def run(self, op: OperationContext, **data: Any) -> None:
        raise RuntimeError("broken")


@register("probe.crashes")
class Crashes(OperationTask):
    """Kills its own process until the attempt that `survives_at` names."""

    def run(self, op: OperationContext, *, survives_at: int) -> dict[str, int]:
        if op.attempt < survives_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"attempt": op.attempt}


@register("probe.deaf")
class Deaf(OperationTask):
    """Works without ever reporting or asking, at most until the file `ends_by` is there."""

    def run(self, op: OperationContext, *, seconds: float, ends_by: str = "") -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not (ends_by and Path(ends_by).exists()):
            time.sleep(0.05)


@register("probe.snoozes")
class Snoozes(OperationTask):
    """Goes to sleep until the attempt that `wakes_at` names."""

    def run(self, op: OperationContext, *, wakes_at: int, after: float) -> dict[str, int]:
        if op.attempt < wakes_at:
            raise Snooze("too early", after=after)
        return {"attempt": op.attempt}


@register("probe.hurried")
class Hurried(Deaf):
    """Has no time: a second for an attempt, eight until the first claim, ten in all, and one to listen to a cancel."""

    max_attempts = 2
    queue_timeout = 8.0
    attempt_timeout = 1.0
    deadline = 10.0
    cancel_grace = 1.0


@register("probe.stalls")
class Stalls(OperationTask):
    max_attempts = 1
    max_stall = 1.0

    def run(self, op: OperationContext, *, seconds: float) -> None:
        op.progress(1, 2)
        time.sleep(seconds)


@register("probe.splits")
class Splits(OperationTask):
    """Spawns a child per input, waits, and adds up what they counted."""

    def run(
        self, op: OperationContext, *, child: str, inputs: list[dict[str, Any]], on_failure: str = "fail_parent"
    ) -> dict[str, Any]:
        op.spawn(child, inputs)
        children = op.gather(on_failure=on_failure)
        counted = sum((row.result or {}).get("counted", 0) for row in children)
        return {"states": [row.state for row in children], "counted": counted}


@register("probe.sheds")
class Sheds(OperationTask):
    """Rejects its items at these positions."""

    def run(self, op: OperationContext, *, positions: list[int]) -> None:
        for position in positions:
            op.reject(position, "bad", f"Item {position} is bad.", column="a", raw="x", offset=position * 10)
        op.checkpoint(True)


@register("probe.gleans")
class Gleans(OperationTask):
    """Spawns a child for each list of positions, and takes over what they reject."""

    def run(self, op: OperationContext, *, positions: list[list[int]], limit: int | None, length: int = 0) -> None:
        op.spawn("probe.sheds", [{"positions": some} for some in positions])
        for index, child in enumerate(op.gather()):
            op.adopt_rejects([child], limit=limit, first=index * length)


@register("probe.crowds")
class Crowds(OperationTask):
    """Spawns so many small children, and adds up what they counted."""

    def run(self, op: OperationContext, *, children: int) -> dict[str, int]:
        op.spawn("probe.counts", ({"to": 1} for _ in range(children)))
        return {"counted": sum(child.result["counted"] for child in op.gather())}


@register("probe.tells")
class Tells(OperationTask):
    """Says so many lines, so many in a second, from the moment when a file is there."""

    def run(self, op: OperationContext, *, events: int, per_second: float, starts_by: str) -> None:
        while not Path(starts_by).exists():
            op.check()
            time.sleep(0.05)
        for number in range(events):
            op.log(f"line {number}")
            time.sleep(1 / per_second)


@register("probe.nests")
class Nests(OperationTask):
    """Spawns itself, one level less deep, until nothing is left."""

    def run(self, op: OperationContext, *, levels: int) -> dict[str, int]:
        if levels:
            op.spawn("probe.nests", {"levels": levels - 1})
        return {"depth": 1 + sum(row.result["depth"] for row in op.gather())}


class OnThing(OperationTask):
    """Works on the thing that its input names, which only one operation may do at a time."""

    @classmethod
    def flight_key(cls, prepared: dict[str, Any]) -> str | None:
        return prepared.get("thing")

    def run(self, op: OperationContext, *, thing: str | None, seconds: float = 0.0) -> dict[str, Any]:
        for _ in op.track(range(int(seconds * 100))):
            time.sleep(0.01)
        return {"thing": thing}


@register("probe.queues-up")
class QueuesUp(OnThing):
    single_flight = "queue"


@register("probe.gives-way")
class GivesWay(OnThing):
    single_flight = "reject"


@register("probe.replaces")
class Replaces(OnThing):
    single_flight = "replace"
    max_active_per_owner = 3


@register("probe.facts")
class Facts(OperationTask):
    """Tells facts of its own together."""

    def run(self, op: OperationContext, *, facts: int) -> None:
        op.event("probe.told", *({"fact": number} for number in range(facts)))


@register("probe.whole")
class Whole(OperationTask):
    """Uses every verb that there is, and fails once on its way."""

    def run(self, op: OperationContext, *, diary: str) -> dict[str, Any]:
        op.step("begin")
        op.defer("probe.unlock", diary=diary, word="whole")
        path = op.tempfile(".txt")
        path.write_text("all of it")
        for index in range(op.cursor or 0, 2):
            op.reject(index, "probe", f"Item {index}.")
            op.progress(index + 1, 2)
            op.checkpoint(index + 1)
            if op.attempt == 1:
                raise Retry("once", after=0)
        op.partial({"saved": 2})
        op.log("It is half done.")
        op.event("probe.halfway", {"saved": 2})
        op.artifact(path, "report.txt", content_type="text/plain")
        op.spawn("probe.saves", [{"to": 1}] * 2)
        return {"children": len(op.gather())}

    @classmethod
    def forget(cls, operation: Operation) -> None:
        unlock(operation.input["diary"], "forget")


@register("probe.litters")
class Litters(OperationTask):
    """Makes a temporary file, a temporary folder and two artifacts, locks something, and ends as it is told to."""

    max_attempts = 2

    def run(self, op: OperationContext, *, diary: str, ends: str = "well", attempt: int = 0) -> dict[str, str]:
        op.defer("probe.unlock", diary=diary, word="first")
        op.defer("probe.unlock", diary=diary, word="last")
        path, folder = op.tempfile(".txt"), op.tempfile()
        path.write_text("half a result")
        (folder / "deep").mkdir(parents=True)
        for text in ("draft", "final"):
            path.write_text(text)
            op.artifact(path, "report.txt", content_type="text/plain")
        if not attempt or op.attempt == attempt:
            _end(op, ends)
        return {"path": str(path)}

    @classmethod
    def forget(cls, operation: Operation) -> None:
        unlock(operation.input["diary"], f"forget {operation.state}")


def _end(op: OperationContext, how: str) -> None:
    if how in ("sleep", "listen"):
        op.log(f"It begins to {how}.")
        for _ in op.track(range(6000)) if how == "listen" else range(6000):
            time.sleep(0.01)
    errors: dict[str, Exception] = {
        "badly": Fail("no_luck", "It was told to."),
        "retry": Retry(after=0),
        "snooze": Snooze(after=0),
    }
    if how in errors:
        raise errors[how]


@cleanup("probe.unlock")
def unlock(diary: str, word: str) -> None:
    """Writes the word down, to be seen by who counts how often it was called."""
    with Path(diary).open("a") as file:
        file.write(f"{word}\n")


@cleanup("probe.stuck")
def stuck(once: str) -> None:
    """Fails until the file is there that it is told of."""
    if not Path(once).exists():
        raise RuntimeError("it is stuck")


@register("probe.inner")
class Inner(OperationTask):
    """A part of another operation's work."""

    is_internal = True

    def run(self, op: OperationContext, **data: Any) -> Any:
        return data


class SourceInput(serializers.Serializer[Any]):
    address = serializers.CharField()
    password = serializers.CharField(source="word")


class KeepsSecretsInput(serializers.Serializer[Any]):
    diary = serializers.CharField(default="")
    api_key = serializers.CharField(min_length=8)
    source = SourceInput(required=False)
    pin = serializers.ChoiceField(["1357", "2468"], required=False, style={"input_type": "password"})


@register("probe.keeps-secrets")
class KeepsSecrets(OperationTask):
    """Writes what it is given to the file `diary`, and then says it in an error."""

    input_serializer = KeepsSecretsInput
    secrets = ("api_key", "source.password")
    max_attempts = 1

    @classmethod
    def admit(cls, prepared: dict[str, Any], owner: Any) -> None:
        if prepared["diary"] == "refused":
            raise Problem(409, "refused", f"The key {prepared['api_key']} is known already.")

    def run(self, op: OperationContext, **data: Any) -> None:
        Path(data["diary"]).write_text(json.dumps(data))
        raise Fail("refused", f"The service says: bad key {data['api_key']}", [{"sent": {"keys": [data["api_key"]]}}])
