"""Which cluster an attempt runs on: a verdict for every cluster, at most one choice.

Honest means: all pods of the gang are packed, node by node, onto what is free now, that is allocatable
minus what bound pods ask for, minus the pods that other attempts have been promised and that are not bound
yet. Amounts summed over nodes prove nothing: 12 free GPUs in pieces of 8 and 4 hold no pod of 12.

Identical nodes come as one group with a count (``vocabulary.cluster_metrics``), so that packing costs as
much as there are groups, not nodes. Decisions only; the controller gathers and writes.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

from kube_runtime.quantity import format_milli
from vocabulary.cluster_metrics import NodeGroup, Taint
from workload_controller.facts import Amounts, ClusterFacts, Flavor, Held, PodSet, Requirement, Toleration

BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")  # PreferNoSchedule does not keep a pod away


@dataclass(frozen=True, slots=True)
class Fits:
    """All pods fit now. ``free_share``: the scarcest requested resource that stays free, 0 to 1."""

    reason: ClassVar[str] = "Fits"
    cluster: str
    free_share: float

    def __str__(self) -> str:
        return f"{self.cluster}: fits, {self.free_share:.0%} stays free"


@dataclass(frozen=True, slots=True)
class Short:
    """``fitting`` of ``pods`` pods fit; ``free`` of ``resource`` is left on all nodes that may take them."""

    reason: ClassVar[str] = "InsufficientResources"
    cluster: str
    pods: int
    fitting: int
    resource: str
    asked: int  # by all pods
    free: int

    def __str__(self) -> str:
        asked, free = format_milli(self.asked, self.resource), format_milli(max(0, self.free), self.resource)
        fit = f"{self.fitting} of {self.pods} pods fit"
        return f"{self.cluster}: {fit}; asks {self.resource} {asked}, free {free}"


@dataclass(frozen=True, slots=True)
class NoSuchNode:
    """No ready, schedulable node matches selectors and taints."""

    reason: ClassVar[str] = "NoMatchingNodes"
    cluster: str
    nodes: int
    wanted: str

    def __str__(self) -> str:
        return f"{self.cluster}: none of {self.nodes} nodes is schedulable with {self.wanted}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """The cluster takes no job at all; ``why`` names the object and the value."""

    reason: ClassVar[str] = "ClusterUnusable"
    cluster: str
    why: str

    def __str__(self) -> str:
        return f"{self.cluster}: {self.why}"


@dataclass(frozen=True, slots=True)
class Barred:
    """This Workload may not use it, or not now (``candidates``)."""

    reason: ClassVar[str] = "ClusterBarred"
    cluster: str
    why: str

    def __str__(self) -> str:
        return f"{self.cluster}: {self.why}"


Verdict = Fits | Short | NoSuchNode | Unusable | Barred
NONE_BARRED: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Placement:
    """The verdict on every cluster, in order of their names, and the choice among those that fit."""

    verdicts: tuple[Verdict, ...]
    choice: str | None

    def __str__(self) -> str:
        return "; ".join(str(verdict) for verdict in self.verdicts) or "no cluster is registered in the ITS"


@dataclass(slots=True)
class _Nodes:
    """``count`` nodes with the same ``free`` amounts; scratch space of one packing."""

    group: NodeGroup
    count: int
    free: dict[str, int]


def place(
    uid: str,
    pod_sets: Sequence[PodSet],
    clusters: Iterable[ClusterFacts],
    held: Iterable[Held],
    flavors: Mapping[str, Flavor],
    barred: Mapping[str, str] = NONE_BARRED,
) -> Placement:
    """Judge every cluster for these pod sets and choose the one that stays least loaded.

    ``barred``: cluster → why this Workload may not use it.

    ``held`` is what all other attempts hold, wherever. Ties break by a hash of the uid, so that equal
    clusters share the load and the same facts give the same answer.
    """
    wanted = [with_flavors(pod_set, flavors) for pod_set in pod_sets]
    by_cluster: dict[str, list[Held]] = {}
    for h in held:
        if h.workload_uid != uid:
            by_cluster.setdefault(h.cluster, []).append(h)
    verdicts = tuple(
        _judge(cluster, wanted, by_cluster.get(cluster.name, []), barred.get(cluster.name, ""))
        for cluster in sorted(clusters, key=lambda c: c.name)
    )
    fitting = [v for v in verdicts if isinstance(v, Fits)]
    best = max(fitting, key=lambda v: (v.free_share, _tie_break(uid, v.cluster)), default=None)
    return Placement(verdicts, best.cluster if best else None)


def with_flavors(pod_set: PodSet, flavors: Mapping[str, Flavor]) -> PodSet:
    """The pod set as Kueue starts it: its flavors' labels and tolerations injected (kueue pkg/podset)."""
    assigned = [flavors[name] for name in sorted(pod_set.flavors) if name in flavors]
    labels = dict(pod_set.node_selector)
    tolerations = list(pod_set.tolerations)
    for flavor in assigned:
        labels.update(flavor.node_labels)
        tolerations.extend(flavor.tolerations)
    return replace(pod_set, node_selector=labels, tolerations=tuple(tolerations), flavors=frozenset())


def _judge(cluster: ClusterFacts, wanted: Sequence[PodSet], held: Sequence[Held], barred: str) -> Verdict:
    if cluster.refusal or cluster.report is None:
        return Unusable(cluster.name, cluster.refusal or "its agent has not reported yet")
    if barred:
        return Barred(cluster.name, barred)
    nodes = _nodes_after_promises(cluster, held)
    for pod_set in sorted(wanted, key=_size, reverse=True):
        refusal = _pack_or_refuse(cluster, nodes, pod_set)
        if refusal:
            return refusal
    return Fits(cluster.name, _free_share(nodes, wanted))


def free_room(cluster: ClusterFacts, held: Iterable[Held]) -> dict[str, int]:
    """What ``place`` would find free on this cluster, summed over the nodes that take pods now.

    Negative while more is promised than there is. A sum proves no fit, see above.
    """
    free: dict[str, int] = {}
    for nodes in _nodes_after_promises(cluster, [h for h in held if h.cluster == cluster.name]):
        for resource, amount in nodes.free.items():
            free[resource] = free.get(resource, 0) + amount * nodes.count
    return free


def _nodes_after_promises(cluster: ClusterFacts, held: Iterable[Held]) -> list[_Nodes]:
    """The nodes that take pods, with what is left when everything promised has come."""
    nodes = _free_nodes(cluster)
    bound = {w.uid: w.bound for w in cluster.report.workloads} if cluster.report else {}
    for h in sorted(held, key=lambda h: h.workload_uid):
        _promise(nodes, h, bound.get(h.workload_uid, 0))
    return nodes


def _free_nodes(cluster: ClusterFacts) -> list[_Nodes]:
    groups = cluster.report.nodes if cluster.report else ()
    return [
        _Nodes(
            g, g.count, {name: amount - g.requested.get(name, 0) for name, amount in g.allocatable.items()}
        )
        for g in groups
        if g.ready and not g.unschedulable
    ]


def _promise(nodes: list[_Nodes], held: Held, bound: int) -> None:
    """Take away what an attempt has been promised and its bound pods do not show yet (I4)."""
    for pod_set in held.pod_sets:
        seen = min(bound, pod_set.count)
        bound -= seen
        missing = pod_set.count - seen
        _owe(nodes, pod_set, missing - _pack(nodes, pod_set, missing))


def _owe(nodes: list[_Nodes], pod_set: PodSet, pods: int) -> None:
    """Take the room of promised pods that no node holds, in pieces, first where they may run.

    The worker's scheduler packs in another way than we do, and a gang that fitted may wait there for a last
    pod while each node has a little room. Taken from one node alone, that would leave the others' to give.
    """
    for resource, amount in pod_set.requests.items():
        owed = amount * pods
        by_room = sorted(nodes, key=lambda n: (not _may_run(n.group, pod_set), -n.free.get(resource, 0)))
        for group in by_room:
            each = group.free.get(resource, 0)
            if each <= 0 or owed <= 0:
                continue
            full, rest = divmod(min(owed, each * group.count), each)
            owed -= full * each + rest
            left = _take(nodes, group, full, {resource: each}, 1) if full else group
            if rest:
                _take(nodes, left, 1, {resource: rest}, 1)


def _pack_or_refuse(cluster: ClusterFacts, nodes: list[_Nodes], pod_set: PodSet) -> Verdict | None:
    eligible = [n for n in nodes if _may_run(n.group, pod_set)]
    if not eligible:
        total = sum(g.count for g in cluster.report.nodes) if cluster.report else 0
        return NoSuchNode(cluster.name, total, _describe(pod_set))
    free_before = {r: sum(n.free.get(r, 0) * n.count for n in eligible) for r in pod_set.requests}
    fitting = _pack(nodes, pod_set, pod_set.count)
    if fitting == pod_set.count:
        return None
    # The resource that runs out first names the shortage: least room in pods of this size.
    scarce = min(
        (r for r, amount in pod_set.requests.items() if amount > 0),
        key=lambda r: (free_before[r] / pod_set.requests[r], r),
    )
    return Short(
        cluster=cluster.name,
        pods=pod_set.count,
        fitting=fitting,
        resource=scarce,
        asked=pod_set.requests[scarce] * pod_set.count,
        free=free_before[scarce],
    )


def _pack(nodes: list[_Nodes], pod_set: PodSet, pods: int) -> int:
    """Put as many of ``pods`` as fit onto the nodes, group by group; returns how many."""
    left = pods
    for nodes_alike in list(nodes):
        group = nodes_alike
        if left <= 0:
            break
        if not _may_run(group.group, pod_set):
            continue
        per_node = _room(group.free, pod_set.requests)
        if per_node <= 0:
            continue
        full, rest = divmod(min(left, per_node * group.count), per_node)
        left -= full * per_node + rest
        if full:
            group = _take(nodes, group, full, pod_set.requests, per_node)
        if rest:
            _take(nodes, group, 1, pod_set.requests, rest)
    return pods - left


def _take(nodes: list[_Nodes], group: _Nodes, count: int, requests: Amounts, pods: int) -> _Nodes:
    """Put ``pods`` pods on each of ``count`` nodes of the group; returns what is left of the group."""
    free = {name: amount - requests.get(name, 0) * pods for name, amount in group.free.items()}
    if count < group.count:
        nodes.append(_Nodes(group.group, count, free))
        group.count -= count
    else:
        group.free = free
    return group


def _room(free: Amounts, requests: Amounts) -> int:
    """How many pods fit one node; a resource that it does not have holds none (I9)."""
    rooms = [free.get(name, 0) // amount for name, amount in requests.items() if amount > 0]
    return max(0, min(rooms, default=0))


def _free_share(nodes: Sequence[_Nodes], wanted: Sequence[PodSet]) -> float:
    shares = []
    for resource in sorted({r for pod_set in wanted for r, amount in pod_set.requests.items() if amount > 0}):
        total = sum(n.group.allocatable.get(resource, 0) * n.count for n in nodes)
        free = sum(n.free.get(resource, 0) * n.count for n in nodes)
        if total > 0:
            shares.append(max(0, free) / total)
    return min(shares, default=0.0)


def _size(pod_set: PodSet) -> tuple[int, ...]:
    """Large pods first: small ones find the gaps that these leave."""
    return tuple(pod_set.requests.get(r, 0) for r in ("nvidia.com/gpu", "memory", "cpu"))


def _may_run(group: NodeGroup, pod_set: PodSet) -> bool:
    return (
        all(group.labels.get(key) == value for key, value in pod_set.node_selector.items())
        and (not pod_set.affinity or any(_matches(term, group.labels) for term in pod_set.affinity))
        and all(_tolerated(t, pod_set.tolerations) for t in group.taints if t.effect in BLOCKING_EFFECTS)
    )


def _matches(term: Sequence[Requirement], labels: Mapping[str, str]) -> bool:
    # An empty term matches nothing (k8s.io/component-helpers nodeaffinity).
    return bool(term) and all(_meets(requirement, labels) for requirement in term)


def _meets(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return _compares(operator, value, requirement.values)
        case _:
            return False


def _compares(operator: str, value: str | None, limits: Sequence[str]) -> bool:
    try:
        number, limit = int(value or ""), int(limits[0])
    except (ValueError, IndexError):
        return False
    return number > limit if operator == "Gt" else number < limit


def _tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(
        (not t.effect or t.effect == taint.effect)
        and (not t.key or t.key == taint.key)
        and (t.operator == "Exists" or (t.key == taint.key and t.value == taint.value))
        for t in tolerations
    )


def _describe(pod_set: PodSet) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(pod_set.node_selector.items()))
    return f"labels {labels}" if labels else "the tolerations of the job"


def _tie_break(uid: str, cluster: str) -> str:
    return hashlib.sha256(f"{uid}/{cluster}".encode()).hexdigest()
