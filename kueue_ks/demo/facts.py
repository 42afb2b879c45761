"""What the demo reads from objects, one small fact each. Amounts are integer milli-units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kube_runtime.objects import Obj
from kube_runtime.quantity import parse_milli_down
from vocabulary import keys
from vocabulary.pod_requests import pod_requests

WAITING_CONDITIONS: Final = ("QuotaReserved", "Admitted")
"""Kueue's conditions whose message says why a Workload waits."""


class Cell(NamedTuple):
    """A resource in a flavor."""

    flavor: str
    resource: str


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A hub Job. ``outcome`` is "" while it is not terminal, else "Complete" or "Failed"."""

    namespace: str
    name: str
    uid: str
    pods: int  # that run at once
    outcome: str


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """A Workload. ``message`` is why it waits, in Kueue's words or in ours, "" when nobody has said."""

    owner_uid: str
    quota_reserved: bool
    admitted: bool
    cluster: str
    message: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node of a worker."""

    name: str
    labels: Mapping[str, str]
    allocatable: Mapping[str, int]
    cordoned: bool
    uid: str = ""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod of a worker; ``job`` is "namespace/name" of the Job that made it, "" for others."""

    job: str
    node: str
    running: bool
    ended: bool
    requests: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FlavorFacts:
    """A ResourceFlavor: which nodes it means."""

    name: str
    node_labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A ClusterQueue: flavors in the order they are tried, nominal quotas, and what is reserved of them."""

    flavors: tuple[str, ...] = ()
    nominal: Mapping[Cell, int] = field(default_factory=dict)
    reserved: Mapping[Cell, int] = field(default_factory=dict)


def read_job(obj: Obj) -> JobFacts:
    """A hub batch/v1 Job."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    parallelism, completions = spec.get("parallelism", 1), spec.get("completions")
    outcomes = [c["type"] for c in status.get("conditions") or () if c["status"] == "True"]
    return JobFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        pods=parallelism if completions is None else min(parallelism, completions),
        outcome=next((o for o in outcomes if o in ("Complete", "Failed")), ""),
    )


def read_workload(obj: Obj) -> WorkloadFacts:
    """A ``kueue.x-k8s.io/v1beta2`` Workload."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    owner: Obj = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), {})
    holds = {kind for kind, c in conditions.items() if c["status"] == "True"}
    reserved = "QuotaReserved" in holds
    checks = status.get("admissionChecks") or ()
    return WorkloadFacts(
        owner_uid=owner.get("uid", ""),
        quota_reserved=reserved,
        admitted="Admitted" in holds and "Evicted" not in holds,
        cluster=_cluster(checks),
        message=_check_message(checks)
        if reserved
        else conditions.get("QuotaReserved", {}).get("message", ""),
    )


def _cluster(checks: Sequence[Obj]) -> str:
    """Where it runs: in the podSetUpdates of a check that is Ready."""
    for check in checks:
        for update in check.get("podSetUpdates") or ():
            cluster: str = (update.get("annotations") or {}).get(keys.CLUSTER, "")
            if cluster and check.get("state") == "Ready":
                return cluster
    return ""


def _check_message(checks: Sequence[Obj]) -> str:
    return next((str(c.get("message", "")) for c in checks if c.get("state") == "Pending"), "")


def read_node(obj: Obj) -> NodeFacts:
    """A Node."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    return NodeFacts(
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        allocatable={name: parse_milli_down(q) for name, q in (status.get("allocatable") or {}).items()},
        cordoned=bool(spec.get("unschedulable", False)),
        uid=metadata["uid"],
    )


def read_pod(obj: Obj) -> PodFacts:
    """A Pod of a worker."""
    metadata, phase = obj["metadata"], (obj.get("status") or {}).get("phase", "")
    owner = next((o for o in metadata.get("ownerReferences") or () if o["kind"] == "Job"), None)
    return PodFacts(
        job=f"{metadata['namespace']}/{owner['name']}" if owner else "",
        node=obj["spec"].get("nodeName", ""),
        running=phase == "Running" and "deletionTimestamp" not in metadata,
        ended=phase in ("Succeeded", "Failed"),
        requests=pod_requests(obj["spec"]),
    )


def read_flavor(obj: Obj) -> FlavorFacts:
    """A ResourceFlavor."""
    return FlavorFacts(obj["metadata"]["name"], (obj.get("spec") or {}).get("nodeLabels") or {})


def read_queue(obj: Obj) -> QueueFacts:
    """A ClusterQueue."""
    groups = obj["spec"].get("resourceGroups") or ()
    flavors = [flavor for group in groups for flavor in group["flavors"]]
    reserved = (obj.get("status") or {}).get("flavorsReservation") or ()
    return QueueFacts(
        flavors=tuple(dict.fromkeys(flavor["name"] for flavor in flavors)),
        nominal={
            Cell(flavor["name"], each["name"]): parse_milli_down(each["nominalQuota"])
            for flavor in flavors
            for each in flavor["resources"]
        },
        reserved={
            Cell(flavor["name"], each["name"]): parse_milli_down(each.get("total", 0))
            for flavor in reserved
            for each in flavor.get("resources") or ()
        },
    )


def read_available(obj: Obj) -> bool:
    """Whether a ManagedCluster is Available."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "ManagedClusterConditionAvailable" and c["status"] == "True" for c in conditions)
