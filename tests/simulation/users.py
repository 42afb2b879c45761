"""What users and administrators do to hub objects, and somebody with rights on a worker."""

from collections.abc import Mapping

from kube_runtime.objects import Key, Obj, key_of
from tests.simulation.api_server import ApiServer
from tests.simulation.scenario import Action, JobPlan
from tests.simulation.worker import Worker
from tests.simulation.worker_objects import (
    BREAKS_ON,
    FAILS,
    RUN_SECONDS,
    SERIAL_LABEL,
    START_SECONDS,
    TROUBLE,
)
from tests.simulation.workload_objects import CLUSTER_QUEUE, QUEUE_LABEL, finished, workload_name
from tests.simulation.world import World, rfc3339
from vocabulary.resources import CLUSTER_QUEUES, JOBS, MANAGED_CLUSTERS, WORKLOADS

ON_CLUSTER_LOSS = "kueue.kubestellar.io/on-cluster-loss"
BIG = 5  # cores of one pod; no node has them
PODS_MAY_RUN = "kueue.kubestellar.io/pods-may-run"
MANAGED_BY = "kubestellar.io/ks-kueue"


class Users:
    """Everybody outside."""

    def __init__(self, world: World, hub: ApiServer, workers: Mapping[str, Worker]) -> None:
        self.world, self.hub, self.workers = world, hub, workers
        self._held: set[Key] = set()  # names of deleted jobs that had our finalizer

    def create(self, plan: JobPlan) -> None:
        """``kubectl create``; a name that is still taken is tried again.

        So is one whose earlier Workload is still there, where we did not hold the job yet (it had no pods):
        Kueue would give that one's labels and annotations to the new job (seen with 0.19.2, with and without
        us).
        """
        key = (plan.namespace, plan.name)
        if self.hub.find(JOBS, key) is not None or (key not in self._held and self._workload_named(key)):
            self.world.after(1.0, lambda: self.create(plan))
            return
        self.world.note(f"user creates {plan.serial} as {plan.namespace}/{plan.name}")
        self.hub.create(JOBS, job_object(plan))

    def act(self, action: Action, plan: JobPlan | None) -> None:
        """One deed; a subject that is not there any more is left alone."""
        self.world.note(f"user: {action.kind} {action.subject}")
        if action.kind == "drain":
            self._stop_policy("HoldAndDrain")
            self.world.after(action.seconds, lambda: self._stop_policy("None"))
            return
        if action.kind == "mislabel":
            self._label(action.subject, "w1")
            self.world.after(action.seconds, lambda: self._label(action.subject, action.subject))
            return
        assert plan is not None
        key = (plan.namespace, plan.name)
        job = self.hub.find(JOBS, key)
        if job is None or _serial(job) != plan.serial:
            return
        workload = (plan.namespace, workload_name(plan.name, job["metadata"]["uid"]))
        match action.kind:
            case "delete":
                self._delete(job)
            case "suspend":
                self.hub.change(JOBS, key, lambda obj: obj["spec"].update(suspend=True))
            case "deactivate":
                self.hub.change(WORKLOADS, workload, lambda obj: obj["spec"].update(active=False))
            case "reactivate":
                self.hub.change(WORKLOADS, workload, lambda obj: obj["spec"].update(active=True))
            case "delete_workload":
                self._delete_workload(job, workload)
            case "evict_only":
                self.hub.change(WORKLOADS, workload, self._evicted)
            case "forge_workload":
                self.hub.create(WORKLOADS, forged_workload(job))
            case "delete_worker_job" | "delete_any_worker_job":
                for worker in self.workers.values():
                    found = worker.jobs.get(key)
                    only_running = action.kind == "delete_worker_job"
                    if found is not None and not (only_running and finished(found.status)):
                        worker.delete_job(found, by_hand=True)

    def _delete(self, job: Obj) -> None:
        if PODS_MAY_RUN in (job["metadata"].get("finalizers") or ()):
            self._held.add(key_of(job))
        self.hub.delete(JOBS, key_of(job))

    def _delete_workload(self, job: Obj, workload: Key) -> None:
        """Not of a finished job: while Kueue has not seen that end it never lets go of it (0.19.2)."""
        if self.hub.find(WORKLOADS, workload) is not None and not finished(job.get("status") or {}):
            self.hub.delete(WORKLOADS, workload)

    def _workload_named(self, key: Key) -> bool:
        return any(
            w["metadata"]["namespace"] == key[0] and w["metadata"]["ownerReferences"][0]["name"] == key[1]
            for w in self.hub.all(WORKLOADS)
        )

    def _evicted(self, workload: Obj) -> None:
        """As Kueue 0.19.2 evicts with its gate ConcurrentAdmission: the checks stay what they are.

        pkg/controller/concurrentadmission calls SetEvictedCondition alone; all other ways reset the checks.
        """
        now = rfc3339(self.world.wall)
        others = [c for c in workload["status"]["conditions"] if c["type"] != "Evicted"]
        reason = {"reason": "ConcurrentAdmission", "message": "No variant is running"}
        entry = {"type": "Evicted", "status": "True", "lastTransitionTime": now, **reason}
        workload["status"]["conditions"] = [*others, entry]

    def _label(self, cluster: str, value: str) -> None:
        """An administrator labels a ManagedCluster, rightly or with another one's name."""
        its = self.workers[cluster].its
        its.change(MANAGED_CLUSTERS, ("", cluster), lambda obj: obj["metadata"]["labels"].update(name=value))

    def _stop_policy(self, policy: str) -> None:
        self.hub.change(
            CLUSTER_QUEUES, ("", CLUSTER_QUEUE), lambda obj: obj["spec"].update(stopPolicy=policy)
        )


def job_object(plan: JobPlan) -> Obj:
    """The Job as its user writes it, with managedBy as our admission policy sets it."""
    annotations = {
        RUN_SECONDS: str(plan.seconds),
        FAILS: str(plan.fails).lower(),
        START_SECONDS: str(plan.start),
        TROUBLE: plan.trouble,
    }
    if plan.breaks_on:
        annotations[BREAKS_ON] = plan.breaks_on
    if plan.trouble == "reserved":
        annotations["kueue.kubestellar.io/cluster"] = "w1"
    cpu = BIG if plan.trouble == "big" else plan.cpu
    spec: Obj = {
        "suspend": True,
        "managedBy": MANAGED_BY,
        "parallelism": plan.pods,
        "completions": plan.pods,
        "backoffLimit": 1 if plan.breaks_on else 0,
        "template": {
            "metadata": {"labels": {SERIAL_LABEL: plan.serial}, "annotations": annotations},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": plan.grace,
                "containers": [
                    {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": str(cpu)}}}
                ],
            },
        },
    }
    if plan.trouble == "unmanaged":
        del spec["managedBy"]
    if plan.ttl:
        spec["ttlSecondsAfterFinished"] = 1
    return {
        "metadata": {
            "namespace": plan.namespace,
            "name": plan.name,
            "labels": {QUEUE_LABEL: "main", "sim/priority": str(plan.priority)},
            "annotations": {ON_CLUSTER_LOSS: plan.on_loss} if plan.on_loss else {},
        },
        "spec": spec,
    }


def forged_workload(job: Obj) -> Obj:
    """A Workload that its maker says belongs to somebody's job; the uid is not that job's."""
    metadata = job["metadata"]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": metadata["name"],
        "uid": "another",
        "controller": True,
    }
    return {
        "metadata": {
            "namespace": metadata["namespace"],
            "name": f"forged-{metadata['name']}",
            "ownerReferences": [owner],
        },
        "spec": {
            "queueName": "none",
            "active": True,
            "priority": 0,
            "podSets": [{"name": "main", "count": 1, "template": {"spec": job["spec"]["template"]["spec"]}}],
        },
    }


def _serial(job: Obj) -> str:
    return str(job["spec"]["template"]["metadata"]["labels"].get(SERIAL_LABEL, ""))
