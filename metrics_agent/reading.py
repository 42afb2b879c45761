"""Objects of the worker as facts.

A Pod of 3 to 30 KB becomes a handful of words at the informer's edge: a worker may have 100,000 of them.
All readers raise KeyError or ValueError for what no API server sends.
"""

import math
from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any, Final, TypeAlias

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli, parse_milli_down
from metrics_agent.facts import JobFacts, NodeFacts, PodFacts, Refusal
from metrics_agent.problems import pod_problem, refusal_text
from vocabulary import keys
from vocabulary.cluster_metrics import Taint, senseless
from vocabulary.pod_requests import asks_by_claim, pod_requests, unreadable_requests, without_resources

NODE_SPECIFIC_LABELS: Final = frozenset(
    {
        "kubernetes.io/hostname",  # kubelet, on every node
        "topology.hostpath.csi/node",  # csi-driver-host-path
        "alpha.eksctl.io/instance-id",  # eksctl
    }
)
"""Labels that tell one node from its twins: with them no two nodes would be alike.

A label that is missing here costs room in the report, never a wrong number. One that is listed
cannot be used in a ResourceFlavor's nodeLabels.
"""

MOST_CONDITIONS: Final = 16
"""Of a node; four are Kubernetes' own, the others a problem detector's."""

_ENDED: Final = frozenset({"Succeeded", "Failed"})

_OVER: Final = frozenset({"Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"})
"""Conditions after which the Job controller makes no more pods (batch/v1)."""

FAILED_CREATE: Final = "involvedObject.kind=Job,reason=FailedCreate"
"""The field selector of the events in which the Job controller says that it may not make a pod."""


def node_facts(node: Obj) -> NodeFacts:
    """Read a Node."""
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    allocatable, unreadable = _allocatable(status)
    return NodeFacts(
        name=metadata["name"],
        labels={k: v for k, v in (metadata.get("labels") or {}).items() if k not in NODE_SPECIFIC_LABELS},
        taints=tuple(
            sorted(
                (Taint(t["key"], t.get("value", ""), t["effect"]) for t in spec.get("taints") or ()),
                key=lambda t: (t.key, t.effect, t.value),
            )
        ),
        unschedulable=bool(spec.get("unschedulable")) or "deletionTimestamp" in metadata,
        ready=_has(status, {"Ready"}),
        allocatable=allocatable,
        conditions=_others_true(status),
        unreadable=unreadable,
    )


def pod_facts(pod: Obj) -> PodFacts:
    """Read a Pod."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    leaving = "deletionTimestamp" in metadata or status.get("phase") in _ENDED
    requests, unreadable = _requests(spec, status)
    by_claim = asks_by_claim(spec)
    return PodFacts(
        node=spec.get("nodeName") or "",
        workload=(metadata.get("labels") or {}).get(keys.WORKLOAD_UID, ""),
        terminating="deletionTimestamp" in metadata,
        ended=status.get("phase") in _ENDED,
        requests=requests,
        ready=_has(status, {"Ready"}),
        created_at=_seconds(metadata.get("creationTimestamp")),
        problem=None if leaving else pod_problem(metadata["name"], status),
        started=status.get("phase") != "Pending",
        ends_by=_seconds(metadata.get("deletionTimestamp")),
        by_claim=by_claim,
        unreadable=unreadable,
        name=f"{metadata.get('namespace', '')}/{metadata['name']}" if by_claim or unreadable else "",
    )


def job_facts(job: Obj) -> JobFacts:
    """Read a Job that has our label."""
    metadata, spec, status = job["metadata"], job.get("spec") or {}, job.get("status") or {}
    over = spec.get("suspend") or "deletionTimestamp" in metadata or _has(status, _OVER)
    return JobFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        workload=metadata["labels"][keys.WORKLOAD_UID],
        running=not over,
        wanted=0 if over else _wanted(spec, status),
        created_at=_seconds(metadata.get("creationTimestamp")),
        leased_from=_unix((metadata.get("annotations") or {}).get(keys.LEASED_FROM)),
        lease=_lease((metadata.get("annotations") or {}).get(keys.LEASE_SECONDS)),
    )


def refusal(event: Obj) -> Refusal:
    """Read an Event that ``FAILED_CREATE`` selects."""
    last = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return Refusal(
        job=event["involvedObject"].get("uid", ""),
        at=_seconds(last),
        text=refusal_text(event.get("message", "")),
    )


_Unreadable: TypeAlias = tuple[tuple[str, str], ...]


def _allocatable(status: Mapping[str, Any]) -> tuple[dict[str, int], _Unreadable]:
    """What a device plugin or a kubelet says; what makes no sense is as good as not said."""
    found: dict[str, int] = {}
    unreadable: list[tuple[str, str]] = []
    for resource, value in (status.get("allocatable") or {}).items():
        try:
            amount = parse_milli_down(value)
        except ValueError as bad:
            unreadable.append((resource, str(bad)))
            continue
        if why := senseless(resource, amount):
            unreadable.append((resource, f"{value} is {why}"))
        else:
            found[resource] = amount
    return found, tuple(unreadable)


def _requests(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[dict[str, int], _Unreadable]:
    """A pod of which one quantity is nonsense still is a pod on its node: skipped, it would leave room."""
    unreadable: dict[str, str] = {}
    try:
        requests = pod_requests(spec, status)
    except ValueError:
        unreadable = unreadable_requests(spec, status)
        requests = pod_requests(without_resources(spec, unreadable), without_resources(status, unreadable))
    for name, amount in requests.items():
        if why := senseless(name, amount):
            unreadable[name] = f"{format_milli(amount, name)} is {why}"
    known = {name: amount for name, amount in requests.items() if name not in unreadable}
    return known, tuple(sorted(unreadable.items()))


def _others_true(status: Mapping[str, Any]) -> tuple[str, ...]:
    types = (c["type"] for c in status.get("conditions") or () if c["status"] == "True")
    return tuple(sorted(name for name in types if name != "Ready"))[:MOST_CONDITIONS]


def _wanted(spec: Mapping[str, Any], status: Mapping[str, Any]) -> int:
    """As the Job controller counts: without ``completions`` one success means that no more pods are made."""
    parallelism, completions = spec.get("parallelism", 1), spec.get("completions")
    succeeded = status.get("succeeded", 0)
    if completions is None:
        return 0 if succeeded else int(parallelism)
    return max(0, min(int(parallelism), int(completions) - int(succeeded)))


def _lease(seconds: str | None) -> float | None:
    """What cannot be read counts as 0: a job that somebody wanted fenced rather never runs than twice."""
    if seconds is None:
        return None
    return float(seconds) if seconds.isascii() and seconds.isdigit() else 0.0


def _unix(seconds: str | None) -> float:
    """A time that cannot be read is long ago: only a heartbeat counts then."""
    try:
        at = float(seconds or 0)
    except ValueError:
        return 0.0
    return at if math.isfinite(at) else 0.0


def _has(status: Mapping[str, Any], types: Set[str]) -> bool:
    return any(c["type"] in types and c["status"] == "True" for c in status.get("conditions") or ())


def _seconds(timestamp: str | None) -> float:
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0
