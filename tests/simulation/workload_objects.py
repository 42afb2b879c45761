"""What Kueue's objects are called here, and how a Workload and a Job are read."""

import hashlib
from datetime import datetime
from typing import Any

from kube_runtime.objects import Obj

FINALIZER = "kueue.x-k8s.io/resource-in-use"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
CHECK = "kubestellar"
CLUSTER_QUEUE = "cq"
FLAVOR = "default-flavor"
MANAGER = "kueue-admission"


def workload_name(job: str, uid: str) -> str:
    digest = hashlib.sha1(f"Job\nbatch\n{job}\n{uid}".encode()).hexdigest()[:5]
    return f"job-{job}-{digest}"


def condition(obj: Obj, kind: str) -> Obj:
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry["type"] == kind:
            return entry  # type: ignore[no-any-return]
    return {}


def is_true(obj: Obj, kind: str) -> bool:
    return condition(obj, kind).get("status") == "True"


def finished(status: Obj) -> str:
    """Complete, Failed or ""."""
    for entry in status.get("conditions") or ():
        if entry["type"] in ("Complete", "Failed") and entry["status"] == "True":
            return str(entry["type"])
    return ""


def cores(workload: Obj) -> int:
    total = 0
    for pod_set in workload["spec"]["podSets"]:
        request = pod_set["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        total += int(request) * int(pod_set["count"])
    return total


def owner_of(workload: Obj) -> Any:
    return workload["metadata"]["ownerReferences"][0]


def requeue_at(workload: Obj) -> float:
    """Unix time, 0 when there is none."""
    at = ((workload.get("status") or {}).get("requeueState") or {}).get("requeueAt")
    return unix(at) if at else 0.0


def unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
