"""A step in key ranges, each a child operation: as many at once as there are workers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.db.models import Q, Sum

from lro import Fail, Operation, OperationContext

from .declaration import Step
from .running import Order, Running
from .state import State, added


class Shard(Running):
    """A key range of a step. What the other ranges and the steps before have rejected counts as well."""

    _judged = 0

    def judge(self) -> None:
        if self.state.failed == self._judged:
            return
        self._judged, run, step = self.state.failed, self.order.run, self.order.steps[0].name
        counted = Operation.objects.filter(Q(pk=run) | Q(parent_id=run, input__step=step))
        failed, allowed = counted.aggregate(total=Sum("rejected"))["total"], self.order.max_errors
        if failed > allowed:
            message = f"{failed:,} records failed in all shards together, {allowed:,} are allowed."
            raise Fail("too_many_errors", message, [{"failed": failed}])


class Sharding(Running):
    """The steps that can be cut into key ranges are; the others are done here."""

    def __init__(self, op: OperationContext, order: Order, shards: int, shared: dict[str, Any]) -> None:
        """`shared` is what all shards are told."""
        super().__init__(op, order)
        self._shards, self._shared = shards, shared

    def do(self, index: int, step: Step) -> None:
        borders = self._borders(index, step) if step.can_shard else []
        if not borders:
            super().do(index, step)
            return
        inputs = self._inputs(step, borders)
        self.op.spawn("migrations.shard", inputs, keys=[f"{step.name}:{number}" for number in range(len(inputs))])
        children = [child for child in self.op.gather() if child.input["step"] == step.name]
        self._adopt_rejects(children)
        self.commit(lambda state: self._take_over(state, index, [child.result or {} for child in children]))
        self.judge()

    def _adopt_rejects(self, children: Sequence[Operation]) -> None:
        """Under the positions that they would have had without shards."""
        first = self.state.processed
        for child in children:
            self.op.adopt_rejects([child], first=first)
            first += (child.result or {})["report"]["processed"]

    def _borders(self, index: int, step: Step) -> list[str]:
        """Fixed before the first child exists, as `run` comes here again."""
        if step.name not in self.state.borders:
            source = self.source(step)
            self.begin(index, step, source)
            borders = source.borders(self._shards)
            self.commit(lambda state: state.borders.update({step.name: borders}))
        return self.state.borders[step.name]

    def _inputs(self, step: Step, borders: list[str]) -> list[dict[str, Any]]:
        shared = {**self._shared, "step": step.name}
        return [{**shared, "after": after, "until": until} for after, until in pairwise([None, *borders, None])]

    def _take_over(self, state: State, index: int, results: list[dict[str, Any]]) -> None:
        own, report = state.steps[index], added([result["report"] for result in results])
        for name in ("processed", "changed", "failed", "seconds", "written"):
            setattr(own, name, report[name])
        for result in results:
            for bucket, count in result["transactions"].items():
                state.transactions[bucket] = state.transactions.get(bucket, 0) + count
        own.is_done = True
        self.op.event("migrations.step_completed", own.report())
