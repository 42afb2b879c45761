"""The demo's eyes: informers on hub, ITS and workers, folded into one ``State`` after each burst of news."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from kube_runtime.informer import Informer
from kube_runtime.objects import Key, Obj
from kube_runtime.space import Space
from kueue_ks.demo import facts
from kueue_ks.demo.state import State, Stores, Trace, WorkerStores, assemble
from vocabulary import keys
from vocabulary.resources import (
    CLUSTER_QUEUES,
    JOBS,
    MANAGED_CLUSTERS,
    NODES,
    PODS,
    RESOURCE_FLAVORS,
    WORKLOADS,
)

QUEUE: Final = "team-queue"  # config/samples
SETTLE: Final = 0.05  # seconds in which news are gathered: the error of the measured times

Listener = Callable[[State, State], None]
"""Told about (old, new)."""


class _Worker:
    """The informers of one worker."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.nodes: Informer[facts.NodeFacts] = Informer(space, NODES, transform=facts.read_node)
        self.pods: Informer[facts.PodFacts] = Informer(space, PODS, transform=facts.read_pod)


class Watch:
    """Follows the spaces while ``run`` runs; ``state`` is the newest state."""

    def __init__(
        self,
        hub: Space,
        its: Space,
        workers: Mapping[str, Space],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hub = hub
        self.state = State()
        self._clock = clock
        self._began = clock()
        self._step = ""
        self._traces: dict[str, Trace] = {}
        self._hub_pods: set[str] = set()
        self._listeners: list[Listener] = []
        self._news = asyncio.Event()
        self._told = asyncio.Condition()
        self._jobs: Informer[facts.JobFacts] = Informer(
            hub, JOBS, transform=facts.read_job, label_selector=keys.QUEUE_NAME
        )
        self._workloads: Informer[facts.WorkloadFacts] = Informer(
            hub, WORKLOADS, transform=facts.read_workload
        )
        self._flavors: Informer[facts.FlavorFacts] = Informer(
            hub, RESOURCE_FLAVORS, transform=facts.read_flavor
        )
        self._queues: Informer[facts.QueueFacts] = Informer(hub, CLUSTER_QUEUES, transform=facts.read_queue)
        self._pods: Informer[str] = Informer(hub, PODS, transform=_name)
        self._clusters: Informer[bool] = Informer(its, MANAGED_CLUSTERS, transform=facts.read_available)
        self._workers = {name: _Worker(space) for name, space in workers.items()}
        self._pods.add_handler(self._hub_pod_seen)
        for informer in self._informers:
            informer.add_handler(lambda _key, _old, _new: self._news.set())

    @property
    def _informers(self) -> list[Informer[Any]]:
        central: list[Informer[Any]] = [
            self._jobs,
            self._workloads,
            self._flavors,
            self._queues,
            self._pods,
            self._clusters,
        ]
        return central + [each for worker in self._workers.values() for each in (worker.nodes, worker.pods)]

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def worker(self, name: str) -> Space:
        """The connection to a worker."""
        return self._workers[name].space

    def nodes(self, worker: str) -> Sequence[facts.NodeFacts]:
        """The nodes of a worker as they are known, in the order of their names."""
        return sorted(self._workers[worker].nodes.items().values(), key=lambda node: node.name)

    def flavor_labels(self, name: str) -> Mapping[str, str]:
        """The nodeLabels of a ResourceFlavor."""
        flavor = self._flavors.get(("", name))
        return flavor.node_labels if flavor else {}

    def add_listener(self, listener: Listener) -> None:
        """Call for every new state."""
        self._listeners.append(listener)

    def step(self, text: str) -> None:
        """What the demo is doing now."""
        self._step = text
        self._news.set()

    async def submit(self, job: Obj) -> None:
        """Create a job on the hub and follow it. Raises KubeError."""
        created = self.now
        answer = await self.hub.create(JOBS, job)
        self._traces[answer["metadata"]["uid"]] = Trace(created)
        self._jobs.observe(answer)

    async def until(self, holds: Callable[[State], bool]) -> State:
        """The first state for which it holds; the caller sets the deadline."""
        async with self._told:
            await self._told.wait_for(lambda: holds(self.state))
        return self.state

    async def count_hub_pods(self) -> None:
        """List the hub's pods once more: what a watch told is not the last word."""
        for pod in await self.hub.list(PODS):
            self._hub_pods.add(_name(pod))
        self._news.set()
        await self._refresh()

    async def run(self) -> None:
        """Follow for ever; cancel to stop."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())
            for informer in self._informers:
                await informer.wait_synced()
            while True:
                await self._refresh()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), timeout=1.0)  # the clock goes on without news
                await asyncio.sleep(SETTLE)

    async def _refresh(self) -> None:
        self._news.clear()
        old, self.state = self.state, assemble(self._stores())
        self._traces |= {job.uid: job.trace for job in self.state.jobs}
        for listener in self._listeners:
            listener(old, self.state)
        async with self._told:
            self._told.notify_all()

    def _stores(self) -> Stores:
        available = self._clusters.items()
        return Stores(
            now=self.now,
            step=self._step,
            jobs=self._jobs.items().values(),
            workloads=self._workloads.items().values(),
            flavors=self._flavors.items().values(),
            queue=self._queues.get(("", QUEUE)) or facts.QueueFacts(),
            workers={
                name: WorkerStores(
                    available=available.get(("", name), False),
                    nodes=worker.nodes.items().values(),
                    pods=worker.pods.items().values(),
                )
                for name, worker in self._workers.items()
            },
            hub_pods=self._hub_pods,
            traces=self._traces,
        )

    def _hub_pod_seen(self, key: Key, _old: str | None, new: str | None) -> None:
        if new is not None:
            self._hub_pods.add("/".join(key))


def _name(pod: Obj) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
