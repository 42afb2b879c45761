"""What the parts of Kueue share: their queues, a stopped ClusterQueue, and writes that two of them make."""

from kube_runtime.objects import Obj, key_of
from tests.simulation.api_server import ApiServer
from tests.simulation.workload_objects import CLUSTER_QUEUE, FINALIZER, MANAGER, is_true
from tests.simulation.world import Poked, World, rfc3339
from vocabulary.resources import CLUSTER_QUEUES, WORKLOADS


class KueueWrites:
    """``nominal`` is the ClusterQueue's cpu in whole cores."""

    def __init__(self, world: World, hub: ApiServer, nominal: int) -> None:
        self.world, self.hub, self.nominal = world, hub, nominal
        # One for each part that acts in the subclasses.
        self._jobs: Poked
        self._workloads: Poked
        self._scheduler: Poked

    def _stopped(self) -> str:
        queue = self.hub.find(CLUSTER_QUEUES, ("", CLUSTER_QUEUE))
        policy: str = (queue or {"spec": {}})["spec"].get("stopPolicy", "None")
        return "" if policy == "None" else policy

    def _evict(self, workload: Obj, reason: str, message: str) -> None:
        if is_true(workload, "Evicted"):
            return

        def evict(obj: Obj) -> None:
            status = obj.setdefault("status", {})
            for check in status.get("admissionChecks") or ():
                if check["state"] == "Retry":
                    check["retryCount"] = check.get("retryCount", 0) + 1
                was = check["state"]
                check["state"] = "Pending"
                check["message"] = f"Reset to Pending after eviction. Previously: {was}"
                check["lastTransitionTime"] = rfc3339(self.world.wall)
            self._set(obj, "Evicted", "True", reason, message)
            evictions = status.setdefault("schedulingStats", {}).setdefault("evictions", [])
            entry = next((e for e in evictions if e["reason"] == reason), None)
            if entry is None:
                evictions.append(entry := {"reason": reason, "underlyingCause": "", "count": 0})
            entry["count"] += 1

        self.hub.own(WORKLOADS, key_of(workload), MANAGER, ())
        self.hub.change(WORKLOADS, key_of(workload), evict)

    def _drop_finalizer(self, workload: Obj) -> None:
        if FINALIZER in (workload["metadata"].get("finalizers") or ()):
            self.hub.change(
                WORKLOADS, key_of(workload), lambda obj: obj["metadata"]["finalizers"].remove(FINALIZER)
            )

    def _set(self, obj: Obj, kind: str, status: str, reason: str, message: str) -> None:
        conditions = obj.setdefault("status", {}).setdefault("conditions", [])
        entry = next((c for c in conditions if c["type"] == kind), None)
        if entry is None:
            conditions.append(entry := {"type": kind, "status": ""})
        if entry["status"] != status:
            entry["lastTransitionTime"] = rfc3339(self.world.wall)
        entry |= {"status": status, "reason": reason, "message": message}
