"""States and objects of which a test names only what it is about."""

from typing import Any

from kueue_ks.demo.facts import Cell
from kueue_ks.demo.state import Bar, Job, Stage, State, Trace, Worker
from vocabulary import keys

CPU, GPU = Cell("standard", "cpu"), Cell("gpu", "nvidia.com/gpu")


def job(stage: Stage, **fields: Any) -> Job:
    """A job of four pods, created at second 1."""
    cluster = "w1" if stage.admitted else ""
    given: dict[str, Any] = {
        "uid": "job-uid",
        "name": "team-a/gang-1",
        "stage": stage,
        "cluster": cluster,
        "pods": 4,
        "running": 4 if stage is Stage.RUNNING else 0,
        "why": "",
        "trace": trace(stage, cluster),
    }
    return Job(**given | fields)


def trace(stage: Stage, cluster: str = "w1") -> Trace:
    """Admitted at 2, running at 3.5, ended at 15.5."""
    ran = stage is Stage.RUNNING or stage.ended
    return Trace(
        created=1.0,
        admitted=2.0 if stage.admitted else None,
        running=3.5 if ran else None,
        ended=15.5 if stage.ended else None,
        places=frozenset({cluster}) if ran else frozenset(),
    )


def worker(
    name: str = "w1", *, used: int = 0, cordoned: tuple[str, ...] = (), available: bool = True
) -> Worker:
    """31 cpu and 12 GPUs."""
    return Worker(name, available, cordoned, (Bar(CPU, used, 31_000), Bar(GPU, 0, 12_000)))


def state(*jobs: Job, **fields: Any) -> State:
    """One worker and its quota, at second 20."""
    given: dict[str, Any] = {
        "now": 20.0,
        "step": "2/4 jobs",
        "workers": (worker(),),
        "jobs": jobs,
        "nominal": {CPU: 31_000, GPU: 12_000},
    }
    return State(**given | fields)


UID, WORKLOAD_UID = "job-uid", "workload-uid"
WORKLOAD = "job-train-1b29a"  # the name that Kueue gives it


def raw_job(**status: Any) -> dict[str, Any]:
    """A queued hub Job of 4 pods; once pods of it may run, held by our finalizer."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": "team-a",
            "name": "train",
            "uid": UID,
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T12:00:00Z",
            "labels": {keys.QUEUE_NAME: "default-queue"},
            "finalizers": [keys.PODS_MAY_RUN] if status.get("active") else [],
        },
        "spec": {
            "parallelism": 4,
            "completions": 4,
            "managedBy": keys.CONTROLLER_NAME,
            "suspend": False,
            "template": {"spec": POD_SPEC},
        },
        "status": status,
    }


POD_SPEC = {"containers": [{"name": "main", "resources": {"requests": {"cpu": "7", "memory": "200Mi"}}}]}


def condition(kind: str, value: str = "True", **fields: str) -> dict[str, str]:
    """One condition, since two seconds after the job's creation."""
    given = {"type": kind, "status": value, "reason": kind, "message": f"{kind} it is"}
    return {**given, "lastTransitionTime": "2026-01-01T12:00:02Z", **fields}


def raw_workload(
    *conditions: dict[str, str], check: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """Its Workload, with our check; from its admission to its end, held by our finalizer."""
    entry = {"name": "kubestellar", "lastTransitionTime": "2026-01-01T12:00:02Z", "message": ""}
    true = {c["type"] for c in conditions if c["status"] == "True"}
    admission = {
        "clusterQueue": "team-queue",
        "podSetAssignments": [{"name": "main", "count": 4, "flavors": {"cpu": "standard"}}],
    }
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {
            "namespace": "team-a",
            "name": WORKLOAD,
            "uid": WORKLOAD_UID,
            "resourceVersion": "8",
            "finalizers": [keys.PODS_MAY_RUN] if "Admitted" in true and "Finished" not in true else [],
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": UID, "controller": True}
            ],
        },
        "spec": {"podSets": [{"name": "main", "count": 4, "template": {"spec": POD_SPEC}}], **spec},
        "status": {
            "conditions": list(conditions),
            "admissionChecks": [{**entry, **(check or {"state": "Pending"})}],
            **({"admission": admission} if "QuotaReserved" in true else {}),
        },
    }


READY = {
    "state": "Ready",
    "message": (
        "Placed on w1 (attempt 1): w1: fits, 40% stays free; w2: 3 of 4 pods fit; asks cpu 28, free 23500m"
    ),
    "podSetUpdates": [{"name": "main", "annotations": {keys.CLUSTER: "w1", keys.ATTEMPT: "1"}}],
}

CHECK = {"metadata": {"name": "kubestellar"}, "spec": {"controllerName": keys.CONTROLLER_NAME}}


def raw_copy(**metadata: Any) -> dict[str, Any]:
    """The copy of attempt 1 on w1."""
    return {
        "metadata": {
            "namespace": "team-a",
            "name": "train",
            "uid": "copy-uid",
            "creationTimestamp": "2026-01-01T12:00:03Z",
            "labels": {keys.WORKLOAD_UID: WORKLOAD_UID, keys.CLUSTER: "w1", keys.WAVE: "wave-w1-1"},
            "annotations": {
                keys.WORKLOAD: f"team-a/{WORKLOAD}",
                keys.JOB_UID: UID,
                keys.ATTEMPT: "1",
            },
            **metadata,
        },
        "spec": {"parallelism": 4, "completions": 4, "template": {"spec": POD_SPEC}},
    }


def raw_policy() -> dict[str, Any]:
    """The BindingPolicy of the copy."""
    return {
        "metadata": {
            "name": "wave-w1-1",
            "uid": "policy-uid",
            "creationTimestamp": "2026-01-01T12:00:03Z",
            "labels": {keys.WORKLOAD_UID: WORKLOAD_UID, keys.CLUSTER: "w1"},
            "annotations": {keys.WORKLOAD: f"team-a/{WORKLOAD}"},
        }
    }


def raw_work(*, error: str = "") -> dict[str, Any]:
    """The ManifestWork of the copy, applied unless there is an error."""
    applied = condition("Applied", "False" if error else "True")
    manifest = {"conditions": [condition("Applied", "False" if error else "True", message=error)]}
    return {
        "metadata": {
            "namespace": "w1",
            "name": "work-1",
            "uid": "work-uid",
            "creationTimestamp": "2026-01-01T12:00:05Z",
        },
        "spec": {"workload": {"manifests": [raw_copy()]}},
        "status": {"conditions": [applied], "resourceStatus": {"manifests": [manifest]}},
    }


def raw_status(**status: Any) -> dict[str, Any]:
    """The WorkStatus of the copy's ManifestWork."""
    return {
        "metadata": {
            "namespace": "w1",
            "name": "status-1",
            "creationTimestamp": "2026-01-01T12:00:06Z",
            "ownerReferences": [{"kind": "ManifestWork", "uid": "work-uid"}],
        },
        "spec": {"sourceRef": {"group": "batch", "kind": "Job", "namespace": "team-a", "name": "train"}},
        "status": status,
    }
