"""What happens: the quota appears, jobs are submitted, a node goes and comes back, all jobs finish.

Each step waits for what it announces, seen in objects; nothing here sleeps. One deadline is over all of
them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kube_runtime.objects import Obj
from kueue_ks.amounts import amount
from kueue_ks.demo.facts import Cell, NodeFacts
from kueue_ks.demo.state import Stage, State
from kueue_ks.demo.watch import Watch
from vocabulary.resources import NODES

FLAVOR: Final = "standard"  # config/samples; the node that is cordoned belongs to it
STEPS: Final = (
    "1/4 the workers report, the quota appears",
    "2/4 {} jobs are submitted to the hub",
    "3/4 {} is cordoned, the quota follows",
    "4/4 the node is back, all jobs run to their end",
)


@dataclass(frozen=True, slots=True)
class Act:
    """The quota before, during and after the cordon; None for what did not come in time."""

    node: str = ""
    before: int = 0
    without: int | None = None
    after: int | None = None

    def __str__(self) -> str:
        figures = [amount(self.before, "cpu")]
        figures += [amount(milli, "cpu") for milli in (self.without, self.after) if milli is not None]
        deed = "cordoned, then back" if self.after is not None else "cordoned"
        return f"quota of flavor {FLAVOR}   cpu {' → '.join(figures)}   {self.node} {deed}"

    @property
    def complete(self) -> bool:
        """Whether the quota went and came back."""
        return (
            self.without is not None and self.after is not None and self.without < self.before <= self.after
        )


class Story:
    """Plays the demo on a watch. ``act`` tells how far it came when the deadline ends it."""

    def __init__(self, watch: Watch, jobs: Sequence[Obj]) -> None:
        self.act = Act()
        self._watch = watch
        self.jobs = jobs

    async def play(self, deadline: float) -> None:
        """All steps; TimeoutError when they take longer than ``deadline`` seconds. Raises KubeError."""
        async with asyncio.timeout(deadline):
            self._watch.step(STEPS[0])
            await self._watch.until(quota_matches_workers)
            self._watch.step(STEPS[1].format(len(self.jobs)))
            for job in self.jobs:
                await self._watch.submit(job)
            await self._watch.until(half_is_running)
            await self._cordon_and_back()
            self._watch.step(STEPS[3])
            await self._watch.until(all_ended)

    async def _cordon_and_back(self) -> None:
        worker = self._watch.state.workers[0].name
        node = chosen_node(self._watch.nodes(worker), self._watch.flavor_labels(FLAVOR))
        cell = Cell(FLAVOR, "cpu")
        before = self._watch.state.nominal[cell]
        self.act = Act(node.name, before)
        self._watch.step(STEPS[2].format(node.name))
        await self._set_cordon(worker, node, cordoned=True)
        state = await self._watch.until(lambda s: s.nominal[cell] < before)
        self.act = Act(node.name, before, state.nominal[cell])
        await self._set_cordon(worker, node, cordoned=False)
        state = await self._watch.until(lambda s: s.nominal[cell] >= before)
        self.act = Act(node.name, before, self.act.without, state.nominal[cell])

    async def _set_cordon(self, worker: str, node: NodeFacts, *, cordoned: bool) -> None:
        patch = {"metadata": {"uid": node.uid}, "spec": {"unschedulable": cordoned or None}}
        await self._watch.worker(worker).patch(NODES, patch, name=node.name)


def quota_matches_workers(state: State) -> bool:
    """Whether every worker is available and the queue has, in every cell shown, what they have together."""
    available: dict[Cell, int] = {}
    for worker in state.workers:
        for bar in worker.bars:
            available[bar.cell] = available.get(bar.cell, 0) + bar.allocatable
    return (
        bool(available)
        and all(worker.available for worker in state.workers)
        and all(state.nominal.get(cell) == amount for cell, amount in available.items())
    )


def half_is_running(state: State) -> bool:
    """Whether half of the jobs run or have."""
    return 2 * state.count(Stage.RUNNING, Stage.FINISHED, Stage.FAILED) >= len(state.jobs) > 0


def all_ended(state: State) -> bool:
    """Whether nothing more will happen."""
    return bool(state.jobs) and all(job.stage.ended for job in state.jobs)


def chosen_node(nodes: Sequence[NodeFacts], labels: Mapping[str, str]) -> NodeFacts:
    """The largest schedulable node of a flavor, the first by name among equals."""
    suitable = [n for n in nodes if not n.cordoned and labels.items() <= n.labels.items()]
    return max(suitable, key=lambda n: n.allocatable.get("cpu", 0))
