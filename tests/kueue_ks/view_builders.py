"""Raw objects of a small fleet for the live views; each test names only what it is about."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kube_runtime.objects import Obj
from kueue_ks.views.clusters import Rules
from kueue_ks.views.seen import Seen
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport, NodeGroup, NotCounted, WorkloadPods, format_report
from vocabulary.resources import CLUSTER_METRICS
from workload_controller.reading import seconds

NOW = seconds("2026-01-01T14:02:11Z")
RULES = Rules(stale_after=180.0, settle=30.0)
GIB = 2**30


def at(age: float) -> str:
    """RFC3339 of so many seconds ago."""
    return datetime.fromtimestamp(NOW - age, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def amounts(*, cpu: float = 0, memory: int = 0, gpu: int = 0) -> dict[str, int]:
    """Milli-units of cores, bytes and devices; what is 0 is left out."""
    given = {"cpu": cpu, "memory": memory, "nvidia.com/gpu": gpu}
    return {name: int(amount * 1000) for name, amount in given.items() if amount}


def nodes(count: int = 1, *, used: dict[str, int] | None = None, **fields: Any) -> NodeGroup:
    """Nodes of 64 cpu, 512Gi and 8 GPUs, each with ``used`` by others."""
    foreign = used or {}
    given: dict[str, Any] = {
        "name": "n1",
        "count": count,
        "allocatable": {**amounts(cpu=64, memory=512 * GIB, gpu=8), "pods": 110_000},
        "requested": foreign,
        "foreign": foreign,
        "labels": {},
        "taints": (),
        "unschedulable": False,
        "ready": True,
    }
    return NodeGroup(**given | fields)


def report(
    cluster: str,
    *groups: NodeGroup,
    age: float = 4,
    pods: Sequence[WorkloadPods] = (),
    left_out: Sequence[NotCounted] = (),
) -> Obj:
    """The WorkStatus that carries what a cluster's agent observed."""
    status = format_report(ClusterReport(NOW - age, 1, groups, tuple(pods), tuple(left_out)))
    return work_status(cluster, status)


def work_status(cluster: str, status: Obj) -> Obj:
    source = {"group": CLUSTER_METRICS.group, "kind": CLUSTER_METRICS.kind, "name": cluster}
    return {
        "metadata": {"namespace": cluster, "name": f"metrics-{cluster}"},
        "spec": {"sourceRef": source},
        "status": status,
    }


def managed(name: str, *, available: str = "True", taints: Sequence[Obj] = (), **spec: Any) -> Obj:
    """A ManagedCluster, accepted an hour ago."""
    condition = {
        "type": "ManagedClusterConditionAvailable",
        "status": available,
        "lastTransitionTime": at(3600),
    }
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {keys.CLUSTER_NAME_LABEL: name},
            "creationTimestamp": at(3600),
        },
        "spec": {"hubAcceptsClient": True, "taints": list(taints), **spec},
        "status": {"conditions": [condition], "version": {"kubernetes": "v1.36.3"}},
    }


CORDON = {"key": "maintenance", "effect": "NoSelect"}


def condition(
    kind: str, status: str = "True", *, age: float = 60, reason: str = "", message: str = ""
) -> Obj:
    return {
        "type": kind,
        "status": status,
        "reason": reason or kind,
        "message": message,
        "lastTransitionTime": at(age),
    }


def pod_spec(cpu: float, memory: str = "4Gi", gpu: int = 0) -> Obj:
    requests = {"cpu": str(cpu), "memory": memory, **({"nvidia.com/gpu": str(gpu)} if gpu else {})}
    return {"containers": [{"name": "main", "image": "x", "resources": {"requests": requests}}]}


def workload(
    name: str,
    *conditions: Obj,
    check: Obj | None = None,
    pods: int = 2,
    age: float = 300,
    priority: int = 0,
    queue: str = "default",
    spec: Obj | None = None,
    namespace: str = "team-a",
    **fields: Any,
) -> Obj:
    """A Workload of ``job(name)``."""
    pod_set = {"name": "main", "count": pods, "template": {"spec": spec or pod_spec(8, gpu=2)}}
    entry = {"name": "kubestellar", "lastTransitionTime": at(30), "message": "", "state": "Pending"}
    reserved = any(c["type"] == "QuotaReserved" and c["status"] == "True" for c in conditions)
    assignment = {"name": "main", "count": pods, "flavors": {"cpu": "standard"}}
    admission = {"clusterQueue": "research", "podSetAssignments": [assignment]}
    return {
        "metadata": {
            "namespace": namespace,
            "name": f"job-{name}",
            "uid": f"workload-{name}",
            "resourceVersion": "8",
            "creationTimestamp": at(age),
            "finalizers": [keys.PODS_MAY_RUN],
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": name,
                    "uid": f"job-uid-{name}",
                    "controller": True,
                }
            ],
            **fields.pop("metadata", {}),
        },
        "spec": {"podSets": [pod_set], "queueName": queue, "priority": priority, "active": True, **fields},
        "status": {
            "conditions": list(conditions),
            "admissionChecks": [{**entry, **check}] if check is not None else [],
            **({"admission": admission} if reserved else {}),
        },
    }


def job(name: str, *, pods: int = 2, queue: str = "default", namespace: str = "team-a", **status: Any) -> Obj:
    """A hub Job of ours."""
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"job-uid-{name}",
            "resourceVersion": "7",
            "creationTimestamp": at(300),
            "labels": {keys.QUEUE_NAME: queue, "kueue.x-k8s.io/prebuilt-workload-name": f"job-{name}"},
            "finalizers": [keys.PODS_MAY_RUN],
        },
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "suspend": False,
            "managedBy": keys.CONTROLLER_NAME,
            "template": {"spec": pod_spec(8, gpu=2)},
        },
        "status": status,
    }


def placed(cluster: str, attempt: int = 1) -> Obj:
    """Our check after the decision."""
    annotations = {keys.CLUSTER: cluster, keys.ATTEMPT: str(attempt)}
    return {
        "state": "Ready",
        "message": f"Placed on {cluster} (attempt {attempt}): {cluster}: fits, 40% stays free",
        "podSetUpdates": [{"name": "main", "annotations": annotations}],
    }


def copy(name: str, cluster: str, *, pods: int = 2, leaving: bool = False, namespace: str = "team-a") -> Obj:
    """The copy of ``job(name)`` in the WDS."""
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"copy-{name}",
            "creationTimestamp": at(100),
            "labels": {
                keys.WORKLOAD_UID: f"workload-{name}",
                keys.CLUSTER: cluster,
                keys.WAVE: f"wave-{name}",
            },
            "annotations": {
                keys.WORKLOAD: f"{namespace}/job-{name}",
                keys.JOB_UID: f"job-uid-{name}",
                keys.ATTEMPT: "1",
            },
            **({"deletionTimestamp": at(5)} if leaving else {}),
        },
        "spec": {"parallelism": pods, "completions": pods, "template": {"spec": pod_spec(8, gpu=2)}},
    }


def cluster_queue(name: str = "research", **fields: Any) -> Obj:
    """160 cpu and 24 GPUs of the flavor standard, of which some are taken."""

    def taken(cpu: str, gpu: str) -> list[Obj]:
        totals = [{"name": "cpu", "total": cpu}, {"name": "nvidia.com/gpu", "total": gpu}]
        return [{"name": "standard", "resources": totals}]

    resources = [{"name": "cpu", "nominalQuota": "160"}, {"name": "nvidia.com/gpu", "nominalQuota": "24"}]
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "annotations": {keys.MANAGE_QUOTA: "true"}},
        "spec": {
            "resourceGroups": [
                {
                    "coveredResources": ["cpu", "nvidia.com/gpu"],
                    "flavors": [{"name": "standard", "resources": resources}],
                }
            ],
            **fields,
        },
        "status": {
            "pendingWorkloads": 2,
            "reservingWorkloads": 4,
            "admittedWorkloads": 3,
            "flavorsReservation": taken("64", "16"),
            "flavorsUsage": taken("48", "12"),
            "conditions": [condition("Active", reason="Ready")],
        },
    }


def local_queue(name: str = "default", namespace: str = "team-a", cluster_queue: str = "research") -> Obj:
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterQueue": cluster_queue},
        "status": {
            "pendingWorkloads": 2,
            "reservingWorkloads": 4,
            "admittedWorkloads": 3,
            "conditions": [condition("Active", reason="Ready")],
        },
    }


CHECK = {"metadata": {"name": "kubestellar"}, "spec": {"controllerName": keys.CONTROLLER_NAME}}
FLAVOR = {"metadata": {"name": "standard"}, "spec": {"nodeLabels": {}}}
RESERVED, ADMITTED = condition("QuotaReserved", age=120), condition("Admitted", age=90)
NO_QUOTA = condition(
    "QuotaReserved",
    "False",
    reason="Pending",
    message="couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor "
    "standard, 4 more needed",
)
NO_ROOM = {
    "state": "Pending",
    "message": "No cluster can take it now: w1: 1 of 2 pods fit; asks nvidia.com/gpu 4, free 2. "
    "The quota goes back at 14:08:00Z",
}


def seen(**fields: Any) -> Seen:
    """A fleet of four clusters and eight jobs, one of each sort; figures are consistent."""
    evicted = condition("Evicted", reason="Preempted", message="Preempted to accommodate job-sft", age=20)
    given: dict[str, Any] = {
        "now": NOW,
        "workloads": [
            workload("run-1", RESERVED, ADMITTED, check=placed("w1")),
            workload("run-2", RESERVED, ADMITTED, check=placed("w2", 1)),
            workload("new-3", RESERVED, ADMITTED, check=placed("w1")),
            workload("room-4", RESERVED, check=NO_ROOM, age=250),
            workload("quota-5", NO_QUOTA, age=200),
            workload("quota-6", NO_QUOTA, age=100, priority=10, namespace="team-b"),
            workload("out-7", RESERVED, evicted, check={"state": "Pending"}),
            workload("done-8", RESERVED, condition("Finished")),
        ],
        "jobs": [
            job("run-1", active=2, ready=2, startTime=at(60)),
            job("run-2", active=2, ready=2, startTime=at(60)),
            job("new-3"),
            job("room-4"),
            job("quota-5"),
            job("quota-6", namespace="team-b"),
            job("out-7", active=2, ready=0, startTime=at(60)),
        ],
        "checks": [CHECK],
        "flavors": [FLAVOR],
        "cluster_queues": [cluster_queue()],
        "local_queues": [local_queue(), local_queue(namespace="team-b")],
        "copies": [copy("run-1", "w1"), copy("run-2", "w2"), copy("out-7", "w2", leaving=True)],
        "clusters": [
            managed("w1"),
            managed("w2"),
            managed("w3", taints=[CORDON]),
            managed("w4", available="Unknown"),
        ],
        "statuses": [
            report(
                "w1",
                nodes(
                    2,
                    used=amounts(cpu=2, memory=8 * GIB),
                    requested=amounts(cpu=10, memory=12 * GIB, gpu=2),  # with one pod of run-1 on each
                ),
                pods=[WorkloadPods("workload-run-1", 2, 0, 0, 2)],
            ),
            report("w2", nodes(1), nodes(1, name="n2", unschedulable=True), age=6),
            report("w3", nodes(1), age=5),
            report("w4", nodes(1), age=200),
        ],
    }
    return Seen(**given | fields)


def many(count: int, *, clusters: int = 100) -> Seen:
    """So many jobs on so many clusters: half run, a quarter waits for quota, a quarter for a cluster."""
    names = [f"w{n:03}" for n in range(clusters)]
    workloads, jobs, copies = [], [], []
    for n in range(count):
        name, cluster = f"job-{n:05}", names[n % clusters]
        if n % 2:
            workloads.append(workload(name, RESERVED, ADMITTED, check=placed(cluster)))
            jobs.append(job(name, active=2, ready=2, startTime=at(60)))
            copies.append(copy(name, cluster))
        else:
            waits, why = (RESERVED, NO_ROOM) if n % 4 else (NO_QUOTA, None)
            workloads.append(workload(name, waits, check=why, priority=n % 7))
            jobs.append(job(name))
    return seen(
        workloads=workloads,
        jobs=jobs,
        copies=copies,
        clusters=[managed(name) for name in names],
        statuses=[report(name, *(nodes(2, name=f"n{n}") for n in range(10))) for name in names],
    )
