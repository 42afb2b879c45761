"""Kueue's scheduler: one ClusterQueue, first come first served within a priority.

Preemption withinClusterQueue: LowerPriority.
"""

from collections.abc import Iterable

from kube_runtime.objects import Obj, key_of
from tests.simulation.kueue_writes import KueueWrites
from tests.simulation.workload_objects import (
    CHECK,
    CLUSTER_QUEUE,
    FLAVOR,
    condition,
    cores,
    is_true,
    requeue_at,
)
from vocabulary.resources import ADMISSION_CHECKS, LOCAL_QUEUES, WORKLOADS


class Scheduler(KueueWrites):
    """Gives quota to who waits, and takes it from who is less important."""

    def _schedule(self) -> None:
        if self._stopped() or not self._active():
            return
        workloads = [w for w in self.hub.all(WORKLOADS) if not is_true(w, "Finished")]
        used = sum(cores(w) for w in workloads if "admission" in (w.get("status") or {}))
        for workload in sorted(filter(self._waits, workloads), key=queue_order):
            if requeue_at(workload) > self.world.wall:
                self._scheduler.poke("all", after=requeue_at(workload) - self.world.wall)
                continue
            if used + cores(workload) <= self.nominal:
                self._reserve(workload)
                used += cores(workload)
            else:
                self._preempt(workload, workloads, used)

    def _preempt(self, workload: Obj, workloads: Iterable[Obj], used: int) -> None:
        lower = [
            w
            for w in workloads
            if "admission" in (w.get("status") or {})
            and not is_true(w, "Evicted")
            and "deletionTimestamp" not in w["metadata"]
            and w["spec"]["priority"] < workload["spec"]["priority"]
        ]
        leaving = sum(
            cores(w) for w in workloads if "admission" in (w.get("status") or {}) and is_true(w, "Evicted")
        )
        missing = used - leaving + cores(workload) - self.nominal
        if missing <= 0 or sum(map(cores, lower)) < missing:
            return
        for victim in sorted(lower, key=queue_order, reverse=True):
            if missing <= 0:
                return
            missing -= cores(victim)
            self._evict(victim, "Preempted", f"Preempted to accommodate {workload['metadata']['name']}")

    def _waits(self, workload: Obj) -> bool:
        status = workload.get("status") or {}
        return bool(
            workload["spec"].get("active", True)
            and "admission" not in status
            and status.get("admissionChecks")
            and "deletionTimestamp" not in workload["metadata"]
            and self._queue_exists(workload)
            # Requeued stays False with this reason, also when its user activates it again.
            and condition(workload, "Evicted").get("reason") != "DeactivatedDueToAdmissionCheck"
        )

    def _queue_exists(self, workload: Obj) -> bool:
        namespace = workload["metadata"]["namespace"]
        return self.hub.find(LOCAL_QUEUES, (namespace, workload["spec"]["queueName"])) is not None

    def _reserve(self, workload: Obj) -> None:
        def reserve(obj: Obj) -> None:
            self._set(obj, "QuotaReserved", "True", "QuotaReserved", "Quota reserved")
            if condition(obj, "Evicted"):
                self._set(obj, "Evicted", "False", "QuotaReserved", "Previously evicted")
            obj["status"].pop("requeueState", None)
            pod_set = obj["spec"]["podSets"][0]
            obj["status"]["admission"] = {
                "clusterQueue": CLUSTER_QUEUE,
                "podSetAssignments": [
                    {
                        "name": pod_set["name"],
                        "count": pod_set["count"],
                        "flavors": {"cpu": FLAVOR},
                        "resourceUsage": {"cpu": str(cores(obj))},
                    }
                ],
            }

        self.hub.change(WORKLOADS, key_of(workload), reserve)

    def _active(self) -> bool:
        check = self.hub.find(ADMISSION_CHECKS, ("", CHECK))
        return check is not None and is_true(check, "Active")


def queue_order(workload: Obj) -> tuple[int, str, str]:
    """As workload.Ordering: who was evicted for an admission check is as young as that eviction."""
    metadata, evicted = workload["metadata"], condition(workload, "Evicted")
    by_check = evicted.get("status") == "True" and evicted.get("reason") == "AdmissionCheck"
    queued = evicted["lastTransitionTime"] if by_check else metadata["creationTimestamp"]
    return (-workload["spec"]["priority"], queued, metadata["name"])
