"""Our metrics agent on a worker: reports of nodes and pods, and the leases of jobs."""

from kube_runtime.objects import Obj
from tests.simulation.job_controller import JobController
from tests.simulation.worker_cluster import REPORT_PAUSE
from tests.simulation.worker_objects import LEASE_SECONDS, LEASED_FROM, TROUBLE, Pod
from vocabulary.resources import WORK_STATUSES

LEASE_LOOK = 5.0  # seconds between two looks of the metrics agent at its leases
REPORT_EVERY = 30.0  # seconds between two reports of the metrics agent without a change


class MetricsAgent(JobController):
    """Reports when something changed, and now and then."""

    def _keep_leases(self) -> None:
        """The metrics agent suspends leased jobs when the hub has not been heard for their lease."""
        for job in self.jobs.values():
            annotations = job.manifest["metadata"].get("annotations", {})
            lease = annotations.get(LEASE_SECONDS)
            heard = max(self.beat_at, float(annotations.get(LEASED_FROM, 0)))
            if lease and not job.suspended and self.world.wall > heard + float(lease):
                self.world.note(f"{self.name}: lease of {job.key[1]} is over ({job.serial})")
                job.suspended = True
                for pod in job.pods:
                    self._terminate(pod)
                self._job_controller.poke(job.key)
        self.world.soon(LEASE_LOOK, LEASE_LOOK + 1.0, self._keep_leases)

    def _report(self) -> None:
        if self.cut:
            return
        left = self._reported_at + REPORT_PAUSE - self.world.now
        if left > 0:
            self._metrics.poke("report", after=left)
            return
        alive = [pod for pod in self.pods if pod.ended is None]
        seen = (self._node_entries(alive), self._workload_entries(alive))
        changed = seen != self._reported
        self._reported, self._reported_at = seen, self.world.now
        self._sequence += 1
        status = {
            "observedAtSeconds": f"{self.world.wall:.3f}",
            "sequence": self._sequence,
            "nodes": seen[0],
            "workloads": seen[1],
        }
        key = (self.name, "clustermetrics")
        if self.its.find(WORK_STATUSES, key) is None:
            source = {
                "group": "galaxy.kubestellar.io",
                "version": "v1alpha1",
                "resource": "clustermetrics",
                "kind": "ClusterMetrics",
                "name": self.name,
            }
            self.its.create(
                WORK_STATUSES,
                {"metadata": {"namespace": key[0], "name": key[1]}, "spec": {"sourceRef": source}},
            )
        self.its.change(WORK_STATUSES, key, lambda obj: obj.update(status=status))
        # A change is confirmed by one more report.
        self._metrics.poke("report", after=REPORT_PAUSE if changed else REPORT_EVERY)

    def _node_entries(self, alive: list[Pod]) -> list[Obj]:
        entries = []
        for node, total in self.nodes.items():
            ours = [pod for pod in alive if pod.node == node]
            foreign = self.foreign.get(node, 0)
            requested = {"cpu": str(foreign + sum(p.cpu for p in ours)), "pods": str(len(ours))}
            entries.append(
                {
                    "name": node,
                    "count": 1,
                    "allocatableResources": {"cpu": str(total), "pods": "110"},
                    "allocatedResourceRequests": requested,
                    "foreignResourceRequests": {"cpu": str(foreign), "pods": "0"},
                    "labels": {"node-class": "standard"},
                    "taints": [],
                    "unschedulable": False,
                    "ready": True,
                }
            )
        return entries

    def _workload_entries(self, alive: list[Pod]) -> list[Obj]:
        by_uid: dict[str, list[Pod]] = {}
        for pod in alive:
            by_uid.setdefault(pod.workload_uid, []).append(pod)
        return [
            {
                "uid": uid,
                "bound": sum(bool(p.node) for p in pods),
                "waiting": sum(not p.node for p in pods),
                "terminating": sum(p.terminating_since is not None for p in pods),
                "problem": self._problem(pods),
            }
            for uid, pods in sorted(by_uid.items())
        ]

    def _problem(self, pods: list[Pod]) -> str:
        never = any(self._annotations(pod).get(TROUBLE) == "never" for pod in pods)
        return 'ImagePullBackOff: Back-off pulling image "busybox"' if never else ""
