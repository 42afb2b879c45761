"""What the agent knows of a node and of a pod.

A Pod of 3 to 30 KB becomes a handful of words at the informer's edge: a worker may have 100,000 of
them. Two facts that are equal describe objects between which the report sees no difference, so a
node's heartbeat or a container's restart wakes nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kube_runtime.objects import Obj
from kube_runtime.quantity import parse_milli_down
from vocabulary import keys
from vocabulary.cluster_metrics import Amounts, Taint
from vocabulary.pod_requests import pod_requests

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
