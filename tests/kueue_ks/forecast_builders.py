"""The views' small fleet with all that the controller decides from."""

from typing import Any

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli
from kueue_ks.views.seen import Seen
from tests.kueue_ks.view_builders import NOW, cluster_queue, seen
from vocabulary import keys
from workload_controller.published import LEASE, Options, publish
from workload_controller.reading import read_workload

__all__ = ["NOW", "fleet", "new_job"]

LISTS = [name for name in Seen.__dataclass_fields__ if name not in {"now", "unread", "namespace"}]


def fleet(**fields: Any) -> Seen:
    """``seen()`` complete: namespaces are carried, nothing is on its way, the leader's options are known."""
    queue = cluster_queue(admissionChecksStrategy={"admissionChecks": [{"name": "kubestellar"}]})
    group = queue["spec"]["resourceGroups"][0]
    group["coveredResources"].append("memory")
    group["flavors"][0]["resources"].append({"name": "memory", "nominalQuota": "2Ti"})
    given: dict[str, Any] = {
        "cluster_queues": [queue],
        "hub_namespaces": [namespace("team-a"), namespace("team-b")],
        "twins": [twin("team-a"), twin("team-b")],
        "leases": [lease(Options(known=True))],
        **dict.fromkeys(("placement_policies", "decisions", "policies", "bindings", "beats", "works"), ()),
    }
    found = seen(**given | fields)
    for workload in found.workloads or ():
        _reserve(workload)
    for name in LISTS:
        for obj in getattr(found, name) or ():
            metadata = obj["metadata"]
            metadata.setdefault("uid", f"{name}-{metadata.get('namespace', '')}-{metadata['name']}")
            metadata.setdefault("resourceVersion", "1")
    return found


def _reserve(workload: Obj) -> None:
    """What Kueue writes into the admission: flavors and amounts of every resource."""
    for each in (workload["status"].get("admission") or {}).get("podSetAssignments", ()):
        asked = read_workload(workload).pod_sets[0].requests
        resources = [r for r in asked if r != "pods"]
        each["flavors"] = dict.fromkeys(resources, "standard")
        each["resourceUsage"] = {r: format_milli(asked[r] * each["count"], r) for r in resources}


def lease(options: Options) -> Obj:
    """The Lease of the leader."""
    annotations = publish(options)
    return {
        "metadata": {"namespace": keys.SYSTEM_NAMESPACE, "name": LEASE, "annotations": annotations},
        "spec": {},
    }


def namespace(name: str) -> Obj:
    return {"metadata": {"name": name, "uid": f"ns-{name}"}}


def twin(name: str) -> Obj:
    """The namespace in the WDS."""
    return {
        "metadata": {
            "name": name,
            "labels": {keys.MANAGED_BY_LABEL: keys.MANAGED_BY, keys.CARRIED: "true"},
            "annotations": {keys.HUB_NAMESPACE_UID: f"ns-{name}"},
        }
    }


def new_job(
    *,
    pods: int = 2,
    cpu: str = "8",
    gpu: str = "2",
    queue: str = "default",
    annotations: dict[str, str] | None = None,
) -> Obj:
    """What a user has in a file."""
    requests = {"cpu": cpu, "memory": "4Gi", "nvidia.com/gpu": gpu}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "mine",
            "namespace": "team-a",
            "labels": {keys.QUEUE_NAME: queue},
            "annotations": annotations or {},
        },
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "template": {"spec": {"containers": [{"name": "m", "resources": {"requests": requests}}]}},
        },
    }
