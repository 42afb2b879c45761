"""What the agent knows of a node and of a pod.

A Pod of 3 to 30 KB becomes a handful of words at the informer's edge: a worker may have 100,000 of
them. Two facts that are equal describe objects between which the report sees no difference, so a
node's heartbeat or a container's restart wakes nobody.

``requests`` of a pod are what kube-scheduler holds against the node: component-helpers
``resource.PodRequests`` as ``pkg/scheduler/framework/types.go`` calls it in Kubernetes 1.36.3, where
resize in place (UseStatusResources) and pod-level resources are on. What it does not count here
either: DRA claims, whose gate DRANodeAllocatableResources is alpha and off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kube_runtime.objects import Obj
from kube_runtime.quantity import parse_milli_down, parse_milli_up
from vocabulary import keys
from vocabulary.cluster_metrics import Amounts, Taint

ONE_POD: Final = 1000
"""Every pod asks for one of its node's "pods" (kubelet ``--max-pods``), in milli-units."""

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

_ENDED: Final = frozenset({"Succeeded", "Failed"})
_POD_LEVEL: Final = frozenset(
    {"cpu", "memory"}
)  # and hugepages-*: component-helpers, supportedPodLevelResources


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node without what makes it unlike its twins. ``allocatable`` is in milli-units, rounded down."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool  # cordoned, or being deleted
    ready: bool  # condition Ready is True; Unknown is not
    allocatable: Amounts


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod in its node's books. ``requests`` are milli-units, rounded up, with "pods": 1000."""

    node: str  # "" while no node was chosen
    workload: str  # uid of our Workload; "" when the pod is not ours
    terminating: bool  # deletionTimestamp is set
    ended: bool  # Succeeded or Failed: its containers are gone, kube-scheduler counts it no more
    requests: Amounts


def node_facts(node: Obj) -> NodeFacts:
    """Read a Node; raises KeyError or ValueError for what no API server sends."""
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
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
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()),
        allocatable={k: parse_milli_down(v) for k, v in (status.get("allocatable") or {}).items()},
    )


def pod_facts(pod: Obj) -> PodFacts:
    """Read a Pod; raises KeyError or ValueError for what no API server sends."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    return PodFacts(
        node=spec.get("nodeName") or "",
        workload=(metadata.get("labels") or {}).get(keys.WORKLOAD_UID, ""),
        terminating="deletionTimestamp" in metadata,
        ended=status.get("phase") in _ENDED,
        requests=pod_requests(spec, status),
    )


def pod_requests(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, int]:
    """What kube-scheduler counts for a pod (see the module) and one of "pods"; milli-units, rounded up."""
    infeasible = _resize_is_infeasible(status)
    amounts = _containers(spec, status, infeasible=infeasible)
    pod_level = (spec.get("resources") or {}).get("requests") or {}
    if pod_level:
        amounts |= _pod_level(pod_level, status, infeasible=infeasible)
    _add(amounts, _amounts(spec.get("overhead")))
    amounts["pods"] = ONE_POD
    return amounts


def _containers(spec: Mapping[str, Any], status: Mapping[str, Any], *, infeasible: bool) -> dict[str, int]:
    """The larger of what runs together (containers and sidecars) and of the hungriest moment of the start.

    At the i-th init container there run the sidecars that were listed before it, and itself.
    """
    states = {
        state["name"]: state
        for state in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
    }
    together: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(together, _container(container, states.get(container["name"]), infeasible=infeasible))
    sidecars: dict[str, int] = {}
    start: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            asks = _container(container, states.get(container["name"]), infeasible=infeasible)
            _add(together, asks)
            _add(sidecars, asks)
        else:
            moment = _container(container, None, infeasible=infeasible)
            _add(moment, sidecars)
            start = _largest((start, moment))
    return _largest((together, start))


def _container(
    container: Mapping[str, Any], state: Mapping[str, Any] | None, *, infeasible: bool
) -> dict[str, int]:
    asked = _amounts((container.get("resources") or {}).get("requests"))
    if state is None or state.get("resources") is None:
        return asked
    return _effective(asked, state, infeasible=infeasible)


def _pod_level(requests: Mapping[str, Any], status: Mapping[str, Any], *, infeasible: bool) -> dict[str, int]:
    """Requests of the pod as a whole replace the sum of its containers, resource by resource."""
    asked = _amounts(requests)
    effective = asked if status.get("resources") is None else _effective(asked, status, infeasible=infeasible)
    return {
        resource: effective.get(resource, 0)
        for resource in asked
        if resource in _POD_LEVEL or resource.startswith("hugepages-")
    }


def _effective(asked: dict[str, int], state: Mapping[str, Any], *, infeasible: bool) -> dict[str, int]:
    """In a resize the largest of asked, given and allocated; what can never be granted does not count."""
    given = _amounts(state["resources"].get("requests"))
    allocated = _amounts(state.get("allocatedResources"))
    return _largest((given, allocated) if infeasible else (asked, given, allocated))


def _resize_is_infeasible(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or ()
    return any(c["type"] == "PodResizePending" and c.get("reason") == "Infeasible" for c in conditions)


def _amounts(requests: Mapping[str, Any] | None) -> dict[str, int]:
    return {resource: parse_milli_up(value) for resource, value in (requests or {}).items()}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount


def _largest(lists: Iterable[Mapping[str, int]]) -> dict[str, int]:
    largest: dict[str, int] = {}
    for amounts in lists:
        for resource, amount in amounts.items():
            largest[resource] = max(largest.get(resource, amount), amount)
    return largest
