"""Kueue 0.19.2 as far as it takes part: queue, quota, checks, eviction, start and stop of batch Jobs.

Level-triggered as the original's reconcilers are (pkg/controller/jobframework/reconciler.go,
pkg/controller/core/workload_controller.go, pkg/workload/evict/evict.go), with the gate
FinishOrphanedWorkloads off. One ClusterQueue per run; first come first served within a priority; preemption
withinClusterQueue: LowerPriority.
"""

from kube_runtime.objects import key_of
from tests.simulation.api_server import ApiServer, Event
from tests.simulation.kueue_job_reconciler import JobReconciler
from tests.simulation.kueue_scheduler import Scheduler
from tests.simulation.kueue_workload_reconciler import WorkloadReconciler
from tests.simulation.workload_objects import owner_of
from tests.simulation.world import Poked, World
from vocabulary.resources import ADMISSION_CHECKS, CLUSTER_QUEUES, JOBS, WORKLOADS


class Kueue(JobReconciler, WorkloadReconciler, Scheduler):
    """All parts, and the events that wake them. ``nominal`` is the ClusterQueue's cpu in whole cores."""

    def __init__(self, world: World, hub: ApiServer, nominal: int) -> None:
        super().__init__(world, hub, nominal)
        self._jobs = Poked(world, self._job, 0.002, 0.03)
        self._workloads = Poked(world, self._workload, 0.002, 0.03)
        self._scheduler = Poked(world, lambda _key: self._schedule(), 0.005, 0.05)
        hub.on_commit(JOBS, self._job_event)
        hub.on_commit(WORKLOADS, self._workload_event)
        hub.on_commit(ADMISSION_CHECKS, lambda _event: self._queue_changed())
        hub.on_commit(CLUSTER_QUEUES, lambda _event: self._queue_changed())

    def stop(self, seconds: float) -> None:
        """The component is down for so long."""
        for actor in (self._jobs, self._workloads, self._scheduler):
            actor.enabled = False

        def back() -> None:
            for actor in (self._jobs, self._workloads, self._scheduler):
                actor.enabled = True

        self.world.after(seconds, back)

    # Events.

    def _job_event(self, event: Event) -> None:
        self._jobs.poke(event.key)
        if event.kind == "DELETED":
            for workload in self.hub.all(WORKLOADS):
                if owner_of(workload)["uid"] == event.new["metadata"]["uid"]:
                    self._workloads.poke(key_of(workload))

    def _workload_event(self, event: Event) -> None:
        self._workloads.poke(event.key)
        self._jobs.poke((event.key[0], owner_of(event.new)["name"]))
        self._scheduler.poke("all")

    def _queue_changed(self) -> None:
        self._scheduler.poke("all")
        for workload in self.hub.all(WORKLOADS):
            self._workloads.poke(key_of(workload))
