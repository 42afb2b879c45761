"""Facts for tests: each test names only what it is about."""

from typing import Any

from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport, NodeGroup, Taint, WorkloadPods
from workload_controller.facts import (
    Check,
    CheckState,
    ClusterFacts,
    CopyFacts,
    Decision,
    JobFacts,
    LossPolicy,
    PodSet,
    PolicyFacts,
    RemoteStatus,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.waves import wave_of

NAMESPACE, JOB, WORKLOAD = "team-a", "train", "job-train-1b29a"
UID, JOB_UID = "workload-uid", "job-uid"


def amounts(cpu: int = 0, memory: int = 0, gpu: int = 0, pods: int = 1) -> dict[str, int]:
    """Milli-units of whole cpus, bytes, gpus; resources of amount 0 are left out."""
    given: dict[str, Any] = {"cpu": cpu, "memory": memory, "nvidia.com/gpu": gpu, "pods": pods}
    return {name: amount * 1000 for name, amount in given.items() if amount}


def pod_set(count: int = 1, **fields: Any) -> PodSet:
    """A pod set whose pods ask 1 cpu."""
    given: dict[str, Any] = {"name": "main", "count": count, "requests": amounts(cpu=1)}
    return PodSet(**given | fields)


def check(state: CheckState = CheckState.PENDING, **fields: Any) -> Check:
    """Our check, written at 100."""
    given: dict[str, Any] = {
        "name": "kubestellar",
        "state": state,
        "message": "",
        "since": 100.0,
        "retries": 0,
        "decision": None,
    }
    return Check(**given | fields)


def ready(cluster: str = "w1", attempt: int = 1) -> Check:
    """Our check after the decision."""
    return check(CheckState.READY, decision=Decision(cluster, attempt))


def workload(**fields: Any) -> WorkloadFacts:
    """A Workload with quota since 100, its check pending."""
    given: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": WORKLOAD,
        "uid": UID,
        "owner_kind": "batch/v1 Job",
        "owner_name": JOB,
        "owner_uid": JOB_UID,
        "quota_reserved": True,
        "quota_reserved_at": 100.0,
        "admitted": False,
        "admitted_at": 110.0,
        "evicted": False,
        "requeue_at": 0.0,
        "finished": False,
        "active": True,
        "deleting": False,
        "queue": "default-queue",
        "cluster_queue": "team-queue",
        "held": True,
        "in_use": True,
        "evictions": 0,
        "checks": (check(),),
        "pod_sets": (pod_set(),),
        "resource_version": "1",
    }
    return WorkloadFacts(**given | fields)


def raw_job(**status: Any) -> dict[str, Any]:
    """A hub Job as the API server has it."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": NAMESPACE, "name": JOB, "uid": JOB_UID, "resourceVersion": "7"},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "suspend": False,
            "managedBy": keys.CONTROLLER_NAME,
            "template": {"metadata": {}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}},
        },
        "status": status,
    }


def job(**fields: Any) -> JobFacts:
    """A hub job that Kueue has started: unsuspended, nothing active yet."""
    given: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": JOB,
        "uid": JOB_UID,
        "suspended": False,
        "managed_by": keys.CONTROLLER_NAME,
        "terminal": False,
        "active": 0,
        "parallelism": 1,
        "reserved_keys": (),
        "wishes": {},
        "held": True,
        "deleting": False,
    }
    given |= fields
    given.setdefault("raw", raw_job(**({"active": given["active"], "ready": 0} if given["active"] else {})))
    return JobFacts(**given)


def copy(**fields: Any) -> CopyFacts:
    """The copy of attempt 1 on w1."""
    given: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": JOB,
        "uid": "copy-uid",
        "workload_namespace": NAMESPACE,
        "workload_name": WORKLOAD,
        "workload_uid": UID,
        "job_uid": JOB_UID,
        "cluster": "w1",
        "attempt": 1,
        "leaving_since": None,
        "grace_seconds": 30,
        "on_loss": LossPolicy.AT_MOST_ONCE,
        "lease_seconds": None,
        "leased_from": 0.0,
        "pod_set": pod_set(),
    }
    given |= fields
    given.setdefault("wave", wave_of(given["workload_uid"], given["cluster"], given["attempt"]))
    return CopyFacts(**given)


def policy(**fields: Any) -> PolicyFacts:
    """The policy of ``copy()``."""
    given: dict[str, Any] = {
        "name": copy().wave,
        "uid": "policy-uid",
        "workload_namespace": NAMESPACE,
        "workload_name": WORKLOAD,
        "deleting": False,
    }
    return PolicyFacts(**given | fields)


def work(**fields: Any) -> WorkFacts:
    """The ManifestWork of ``copy()``."""
    given: dict[str, Any] = {
        "cluster": "w1",
        "name": "work",
        "uid": "work-uid",
        "workload_namespace": NAMESPACE,
        "workload_name": WORKLOAD,
        "workload_uid": UID,
        "attempt": 1,
        "deleting_since": None,
        "apply_error": "",
        "apply_error_since": 0.0,
        "missing_since": None,
    }
    return WorkFacts(**given | fields)


RUNNING = {"active": 1, "ready": 1, "startTime": "2026-01-01T00:00:00Z"}
COMPLETE = {
    "succeeded": 1,
    "startTime": "2026-01-01T00:00:00Z",
    "completionTime": "2026-01-01T00:01:00Z",
    "conditions": [
        {"type": "SuccessCriteriaMet", "status": "True"},
        {"type": "Complete", "status": "True"},
    ],
}


def remote(status: dict[str, Any], *, terminal: bool = False) -> RemoteStatus:
    """The WorkStatus of ``work()``."""
    return RemoteStatus("w1", NAMESPACE, JOB, "work-uid", status, terminal)


def node_group(count: int = 1, **fields: Any) -> NodeGroup:
    """Ready nodes of 8 cpu, 32 GiB, 110 pods, empty."""
    given: dict[str, Any] = {
        "name": "n1",
        "count": count,
        "allocatable": amounts(cpu=8, memory=32 * 2**30, pods=110),
        "requested": {},
        "foreign": {},
        "labels": {"node-class": "standard"},
        "taints": (),
        "unschedulable": False,
        "ready": True,
    }
    return NodeGroup(**given | fields)


def cluster(
    name: str,
    *groups: NodeGroup,
    refusal: str = "",
    workloads: tuple[WorkloadPods, ...] = (),
    fresh: bool = True,
) -> ClusterFacts:
    """A usable cluster with these nodes."""
    return ClusterFacts(name, refusal, ClusterReport(1000.0, 1, groups, workloads), fresh=fresh)


__all__ = [
    "COMPLETE",
    "JOB",
    "NAMESPACE",
    "RUNNING",
    "UID",
    "WORKLOAD",
    "Taint",
    "WorkloadPods",
    "amounts",
    "check",
    "cluster",
    "copy",
    "job",
    "node_group",
    "pod_set",
    "policy",
    "raw_job",
    "ready",
    "remote",
    "work",
    "workload",
]
