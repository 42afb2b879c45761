"""Pods onto nodes: whole pods on single nodes, never sums of amounts.

12 free GPUs in pieces of 8 and 4 hold no pod of 12. Identical nodes come as one group with a count
(``vocabulary.cluster_metrics``), so that packing costs as much as there are groups, not nodes.

For one pod set the packing is exact: its pods are alike, so a node takes as many as fit, whatever the others
take. For several it is first-fit in two orders: what it says to fit does fit, what it refuses may still have
had an assignment, which is why ``lacking_when_empty`` proves by bounds and not by such a packing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vocabulary.cluster_metrics import ClusterReport, NodeGroup
from workload_controller.facts import Amounts, Held, PodSet
from workload_controller.node_matching import may_run
from workload_controller.verdicts import Lack


@dataclass(slots=True)
class Nodes:
    """``count`` nodes with the same ``free`` amounts; scratch space of one packing."""

    group: NodeGroup
    count: int
    free: dict[str, int]


def free_nodes(report: ClusterReport, held: Iterable[Held]) -> list[Nodes]:
    """What is free on ready, schedulable nodes: not asked for by bound pods, not promised to others."""
    nodes = [
        Nodes(g, g.count, {name: amount - g.requested.get(name, 0) for name, amount in g.allocatable.items()})
        for g in report.nodes
        if g.ready and not g.unschedulable
    ]
    bound = {w.uid: w.bound for w in report.workloads}
    for h in sorted(held, key=lambda h: h.workload_uid):
        _promise(nodes, h, bound.get(h.workload_uid, 0))
    return nodes


def empty_nodes(report: ClusterReport) -> list[Nodes]:
    """The most that there could be: every node with nothing on it.

    Cordoned, unready and tainted ones too, for any pod: those states pass, and kubelets set such taints by
    themselves.
    """
    return [Nodes(replace(g, taints=()), g.count, dict(g.allocatable)) for g in report.nodes]


def pack_gang(nodes: Sequence[Nodes], gang: Sequence[PodSet]) -> tuple[list[Nodes], Lack | None]:
    """The nodes with the whole gang on them; or as they were, and what it lacks."""
    first = None
    for order in _orders(nodes, gang):
        left, missing = _pack_in_order(nodes, order)
        if missing is None:
            return left, None
        first = first or missing
    return list(nodes), first


def lacking_when_empty(nodes: Sequence[Nodes], gang: Sequence[PodSet]) -> Lack | None:
    """What these nodes, all empty, lack for this gang; None when it is not proven that they lack anything.

    Two bounds, and each is a proof: a pod set does not fit alone, or all pod sets together ask for more of
    a resource than there is on all nodes that any of them may use.
    """
    for pod_set in gang:
        _, missing = _pack_in_order(nodes, [pod_set])
        if missing is not None:
            return missing
    for resource in sorted({r for pod_set in gang for r in pod_set.requests}):
        askers = [p for p in gang if p.requests.get(resource, 0) > 0]
        asked = sum(p.requests[resource] * p.count for p in askers)
        usable = [n for n in nodes if any(may_run(n.group, p) for p in askers)]
        there = sum(n.free.get(resource, 0) * n.count for n in usable)
        if asked > there:
            pods = sum(p.count for p in gang)
            fitting = pods - _too_many(askers, resource, asked - there)
            largest = max((n.free.get(resource, 0) for n in usable), default=0)
            return Lack(pods, fitting, resource, asked, there, largest)
    return None


def free_permille(nodes: Sequence[Nodes], gang: Iterable[PodSet]) -> int:
    """What is free of the scarcest requested resource, in per mille of ready nodes' amount, rounded down."""
    shares = []
    for resource in sorted({r for pod_set in gang for r, amount in pod_set.requests.items() if amount > 0}):
        total = sum(n.group.allocatable.get(resource, 0) * n.count for n in nodes)
        free = sum(n.free.get(resource, 0) * n.count for n in nodes)
        if total > 0:
            shares.append(max(0, free) * 1000 // total)
    return min(shares, default=0)


def _orders(nodes: Sequence[Nodes], gang: Sequence[PodSet]) -> tuple[list[PodSet], ...]:
    """Large pods first, since small ones find the gaps; and first those that may use the fewest nodes."""
    by_size = sorted(gang, key=lambda p: (_size(p), p.name), reverse=True)
    if len(by_size) == 1:
        return (by_size,)

    def choices(pod_set: PodSet) -> int:
        return sum(n.count for n in nodes if may_run(n.group, pod_set))

    return by_size, sorted(by_size, key=choices)


def _pack_in_order(nodes: Sequence[Nodes], order: Iterable[PodSet]) -> tuple[list[Nodes], Lack | None]:
    left = _copied(nodes)
    for pod_set in order:
        before = _copied(left)
        fitting = _pack(left, pod_set, pod_set.count)
        if fitting < pod_set.count:
            return left, _lack(before, pod_set, fitting)
    return left, None


def _copied(nodes: Iterable[Nodes]) -> list[Nodes]:
    return [replace(n, free=dict(n.free)) for n in nodes]


def _size(pod_set: PodSet) -> tuple[tuple[int, ...], tuple[tuple[str, int], ...]]:
    known = tuple(pod_set.requests.get(r, 0) for r in ("nvidia.com/gpu", "memory", "cpu"))
    return known, tuple(sorted(pod_set.requests.items()))


def _promise(nodes: list[Nodes], held: Held, bound: int) -> None:
    """Take away what an attempt has been promised and its bound pods do not show yet (I4).

    Which of its pods are bound is not reported: the smallest are believed to be, the safe side.
    """
    for pod_set in sorted(held.pod_sets, key=lambda p: (_size(p), p.name)):
        seen = min(bound, pod_set.count)
        bound -= seen
        missing = pod_set.count - seen
        _owe(nodes, pod_set, missing - _pack(nodes, pod_set, missing))


def _owe(nodes: list[Nodes], pod_set: PodSet, pods: int) -> None:
    """Take the room of promised pods that no node holds, in pieces, first where they may run.

    The worker's scheduler packs in another way than we do, and a gang that fitted may wait there for a last
    pod while each node has a little room. Taken from one node alone, that would leave the others' to give.
    """
    for resource, amount in pod_set.requests.items():
        owed = amount * pods
        by_room = sorted(nodes, key=lambda n: (not may_run(n.group, pod_set), -n.free.get(resource, 0)))
        for group in by_room:
            each = group.free.get(resource, 0)
            if each <= 0 or owed <= 0:
                continue
            full, rest = divmod(min(owed, each * group.count), each)
            owed -= full * each + rest
            left = _take(nodes, group, full, {resource: each}, 1) if full else group
            if rest:
                _take(nodes, left, 1, {resource: rest}, 1)


def _pack(nodes: list[Nodes], pod_set: PodSet, pods: int) -> int:
    """Put as many of ``pods`` as fit onto the nodes, group by group; returns how many."""
    left = pods
    for nodes_alike in list(nodes):
        group = nodes_alike
        if left <= 0:
            break
        if not may_run(group.group, pod_set):
            continue
        per_node = _room(group.free, pod_set.requests, pods)
        if per_node <= 0:
            continue
        full, rest = divmod(min(left, per_node * group.count), per_node)
        left -= full * per_node + rest
        if full:
            group = _take(nodes, group, full, pod_set.requests, per_node)
        if rest:
            _take(nodes, group, 1, pod_set.requests, rest)
    return pods - left


def _take(nodes: list[Nodes], group: Nodes, count: int, requests: Amounts, pods: int) -> Nodes:
    """Put ``pods`` pods on each of ``count`` nodes of the group; returns what is left of the group."""
    free = {name: amount - requests.get(name, 0) * pods for name, amount in group.free.items()}
    if count < group.count:
        nodes.append(Nodes(group.group, count, free))
        group.count -= count
    else:
        group.free = free
    return group


def _room(free: Amounts, requests: Amounts, most: int) -> int:
    """How many pods, at most ``most``, fit one node; a resource that it does not have holds none (I9)."""
    rooms = [free.get(name, 0) // amount for name, amount in requests.items() if amount > 0]
    return max(0, min(rooms, default=most))


def _lack(nodes: Sequence[Nodes], pod_set: PodSet, fitting: int) -> Lack:
    """The resource that alone leaves room for the fewest pods names the shortage."""
    usable = [n for n in nodes if may_run(n.group, pod_set)]

    def pods_of(resource: str) -> int:
        amount = pod_set.requests[resource]
        return sum(max(0, n.free.get(resource, 0)) // amount * n.count for n in usable)

    asked = sorted(r for r, amount in pod_set.requests.items() if amount > 0)
    scarce = min(asked, key=pods_of)
    return Lack(
        pods=pod_set.count,
        fitting=fitting,
        resource=scarce,
        asked=pod_set.requests[scarce] * pod_set.count,
        there=sum(n.free.get(scarce, 0) * n.count for n in usable),
        on_one_node=max((n.free.get(scarce, 0) for n in usable), default=0),
        apart=pods_of(scarce) >= pod_set.count,
    )


def _too_many(askers: Iterable[PodSet], resource: str, excess: int) -> int:
    """The fewest pods without which the rest would ask for no more than there is: the largest first."""
    count = 0
    for pod_set in sorted(askers, key=lambda p: p.requests[resource], reverse=True):
        fewer = min(pod_set.count, -(-excess // pod_set.requests[resource]))
        count, excess = count + fewer, excess - fewer * pod_set.requests[resource]
        if excess <= 0:
            break
    return count
