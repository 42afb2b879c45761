"""Our metrics agent on a worker: a report of its nodes and pods, which the status add-on carries to the ITS.

Its other half, which suspends Jobs without a heartbeat, waits for deadlines (``deadlines``).
"""

from tests.workload_controller.lifecycle_world.status_addon import StatusAddon
from tests.workload_controller.lifecycle_world.worker_objects import Worker


class MetricsAgent(StatusAddon):
    """What was seen is told later, or never."""

    def report_look(self, worker: Worker) -> None:
        counts: dict[str, int] = {}
        for pod in worker.pods:
            if pod.alive:
                counts[pod.job.workload_uid] = counts.get(pod.job.workload_uid, 0) + 1
        self._sequence += 1
        node = {
            "name": "n1",
            "count": 1,
            "allocatableResources": {"cpu": "8", "pods": "110"},
            "allocatedResourceRequests": {},
            "foreignResourceRequests": {},
            "ready": True,
        }
        worker.report = {
            "observedAtSeconds": f"{self.clock.now + worker.skew:.3f}",
            "sequence": self._sequence,
            "nodes": [node],
            "workloads": [{"uid": uid, "bound": count} for uid, count in counts.items()],
        }

    def report_tell(self, worker: Worker) -> None:
        if worker.connected and worker.report is not None:
            source = {"group": "galaxy.kubestellar.io", "kind": "ClusterMetrics", "name": worker.name}
            self._tell(worker, "clustermetrics", source, worker.report, [])
            worker.report = None
