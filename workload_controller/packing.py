"""Pods onto nodes: whole pods on single nodes, never sums of amounts.

12 free GPUs in pieces of 8 and 4 hold no pod of 12. Identical nodes come as one group with a count
(``vocabulary.cluster_metrics``), so that packing costs as much as there are groups, not nodes.

For one pod set the packing is exact: its pods are alike, so a node takes as many as fit, whatever the others
take. For several it is first-fit in two orders: what it says to fit does fit, what it refuses may still have
had an assignment, which is why ``lacking_when_empty`` proves by bounds and not by such a packing.

Nodes are values: a packing works on a list of its own and puts other nodes into it, so that trying costs no
copy of them. What a decision asks again and again, of a thousand clusters, is in ``rooms``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vocabulary.cluster_metrics import ClusterReport
from workload_controller.facts import Amounts, Held, PodSet
from workload_controller.node_matching import NodeSort, NodeSorts, may_run
from workload_controller.verdicts import Lack


@dataclass(frozen=True, slots=True)
class Nodes:
    """``count`` nodes of one sort with the same ``free`` amounts."""

    sort: NodeSort
    count: int
    free: Amounts


class TakenBy(dict[NodeSort, bool]):
    """Whether pods of one pod set may run on a sort of nodes, whatever the amounts: found out when asked."""

    MOST_SORTS = 4096
    """Sorts that are remembered: those of reports that are long gone must not pile up."""

    def __init__(self, pod_set: PodSet) -> None:
        super().__init__()
        self._pod_set = pod_set

    def __missing__(self, sort: NodeSort) -> bool:
        if len(self) >= self.MOST_SORTS:
            self.clear()
        taken = self[sort] = may_run(sort, self._pod_set)
        return taken


class Asked:
    """A pod set as packing asks for it: only positive amounts, and a size to sort by."""

    __slots__ = ("count", "name", "pod_set", "requests", "size", "taken_by")

    def __init__(self, pod_set: PodSet) -> None:
        self.pod_set = pod_set
        self.name = pod_set.name
        self.count = pod_set.count
        self.requests = tuple(sorted((r, a) for r, a in pod_set.requests.items() if a > 0))
        known = tuple(pod_set.requests.get(r, 0) for r in ("nvidia.com/gpu", "memory", "cpu"))
        self.size = known, tuple(sorted(pod_set.requests.items()))
        self.taken_by = TakenBy(pod_set)


def free_nodes(report: ClusterReport, held: Sequence[Held], sorts: NodeSorts) -> list[Nodes]:
    """What is free on ready, schedulable nodes: not asked for by bound pods, not promised to others."""
    nodes = [
        Nodes(
            sorts.of(g.labels, g.taints),
            g.count,
            {name: amount - g.requested.get(name, 0) for name, amount in g.allocatable.items()},
        )
        for g in report.nodes
        if g.ready and not g.unschedulable
    ]
    bound = {w.uid: w.bound for w in report.workloads} if held else {}
    for h in sorted(held, key=lambda h: h.workload_uid):
        _promise(nodes, h, bound.get(h.workload_uid, 0))
    return nodes


def empty_nodes(report: ClusterReport, sorts: NodeSorts) -> list[Nodes]:
    """The most that there could be: every node with nothing on it, those that are alike then as one.

    Cordoned, unready and tainted ones too, for any pod: those states pass, and kubelets set such taints by
    themselves.
    """
    counts: dict[tuple[NodeSort, frozenset[tuple[str, int]]], int] = {}
    for g in report.nodes:
        alike = sorts.of(g.labels, ()), frozenset(g.allocatable.items())
        counts[alike] = counts.get(alike, 0) + g.count
    return [Nodes(sort, count, dict(amounts)) for (sort, amounts), count in counts.items()]


def lacking_now(nodes: Sequence[Nodes], gang: Sequence[Asked]) -> Lack | None:
    """What the gang lacks on these nodes; None: it fits."""
    first = None
    for order in _orders(nodes, gang):
        missing = _pack_in_order(nodes, order)
        if missing is None:
            return None
        first = first or missing
    return first


def lacking_when_empty(nodes: Sequence[Nodes], gang: Sequence[Asked]) -> Lack | None:
    """What these nodes, all empty, lack for this gang; None when it is not proven that they lack anything.

    Two bounds, and each is a proof: a pod set does not fit alone, or all pod sets together ask for more of
    a resource than there is on all nodes that any of them may use.
    """
    for asked in gang:
        missing = _pack_in_order(nodes, [asked])
        if missing is not None:
            return missing
    if len(gang) < 2:
        return None  # the first bound is exact then
    for resource in sorted({r for asked in gang for r, _ in asked.requests}):
        askers = [
            (asked, dict(asked.requests)[resource]) for asked in gang if resource in dict(asked.requests)
        ]
        wanted = sum(amount * asked.count for asked, amount in askers)
        usable = [n for n in nodes if any(asked.taken_by[n.sort] for asked, _ in askers)]
        there = sum(n.free.get(resource, 0) * n.count for n in usable)
        if wanted > there:
            pods = sum(asked.count for asked in gang)
            fitting = pods - _too_many([(amount, asked.count) for asked, amount in askers], wanted - there)
            largest = max((n.free.get(resource, 0) for n in usable), default=0)
            return Lack(pods, fitting, resource, wanted, there, largest)
    return None


def room_on(free: Amounts, requests: Iterable[tuple[str, int]], most: int) -> int:
    """How many pods, at most ``most``, fit one node; a resource that it does not have holds none (I9)."""
    room = most
    for name, amount in requests:
        here = free.get(name, 0) // amount
        if here < room:
            if here <= 0:
                return 0
            room = here
    return room


def _orders(nodes: Sequence[Nodes], gang: Sequence[Asked]) -> Iterator[list[Asked]]:
    """Large pods first, since small ones find the gaps; and first those that may use the fewest nodes."""
    by_size = sorted(gang, key=lambda asked: (asked.size, asked.name), reverse=True)
    yield by_size
    if len(by_size) == 1:
        return

    def choices(asked: Asked) -> int:
        return sum(n.count for n in nodes if asked.taken_by[n.sort])

    yield sorted(by_size, key=choices)


def _pack_in_order(nodes: Sequence[Nodes], order: Iterable[Asked]) -> Lack | None:
    left = list(nodes)
    for asked in order:
        before = list(left)
        fitting = _pack(left, asked, asked.count)
        if fitting < asked.count:
            return _lack(before, asked, fitting)
    return None


def _promise(nodes: list[Nodes], held: Held, bound: int) -> None:
    """Take away what an attempt has been promised and its bound pods do not show yet (I4).

    Which of its pods are bound is not reported: the smallest are believed to be, the safe side.
    """
    for asked in sorted(map(Asked, held.pod_sets), key=lambda asked: (asked.size, asked.name)):
        seen = min(bound, asked.count)
        bound -= seen
        missing = asked.count - seen
        _owe(nodes, asked, missing - _pack(nodes, asked, missing))


def _owe(nodes: list[Nodes], asked: Asked, pods: int) -> None:
    """Take the room of promised pods that no node holds, in pieces, first where they may run.

    The worker's scheduler packs in another way than we do, and a gang that fitted may wait there for a last
    pod while each node has a little room. Taken from one node alone, that would leave the others' to give.
    """
    if pods <= 0:
        return
    for resource, amount in asked.pod_set.requests.items():
        owed = amount * pods

        def by_room(at: int, resource: str = resource) -> tuple[bool, int]:
            return not asked.taken_by[nodes[at].sort], -nodes[at].free.get(resource, 0)

        for at in sorted(range(len(nodes)), key=by_room):
            each = nodes[at].free.get(resource, 0)
            if each <= 0 or owed <= 0:
                continue
            full, rest = divmod(min(owed, each * nodes[at].count), each)
            owed -= full * each + rest
            if full:
                _take(nodes, at, full, [(resource, each)], 1)
            if rest:
                _take(nodes, at, 1, [(resource, rest)], 1)


def _pack(nodes: list[Nodes], asked: Asked, pods: int) -> int:
    """Put as many of ``pods`` as fit onto the nodes, group by group; returns how many."""
    left = pods
    for at in range(len(nodes)):  # not those that are split off on the way: they have what fits on them
        if left <= 0:
            break
        group = nodes[at]
        if not asked.taken_by[group.sort]:
            continue
        per_node = room_on(group.free, asked.requests, pods)
        if per_node <= 0:
            continue
        full, rest = divmod(min(left, per_node * group.count), per_node)
        left -= full * per_node + rest
        if full:
            _take(nodes, at, full, asked.requests, per_node)
        if rest:
            _take(nodes, at, 1, asked.requests, rest)
    return pods - left


def _take(nodes: list[Nodes], at: int, count: int, requests: Iterable[tuple[str, int]], pods: int) -> None:
    """Put ``pods`` pods on each of ``count`` nodes of the group at ``at``; what is left of it stays there."""
    group = nodes[at]
    free = dict(group.free)
    for name, amount in requests:
        if name in free:
            free[name] -= amount * pods
    if count < group.count:
        nodes.append(Nodes(group.sort, count, free))
        nodes[at] = Nodes(group.sort, group.count - count, group.free)
    else:
        nodes[at] = Nodes(group.sort, count, free)


def _lack(nodes: Sequence[Nodes], asked: Asked, fitting: int) -> Lack:
    """The resource that alone leaves room for the fewest pods names the shortage."""
    usable = [(n.free, n.count) for n in nodes if asked.taken_by[n.sort]]
    pods_of = {
        resource: sum([max(0, free.get(resource, 0)) // amount * count for free, count in usable])
        for resource, amount in asked.requests
    }
    scarce = min(pods_of, key=lambda resource: pods_of[resource])
    return Lack(
        pods=asked.count,
        fitting=fitting,
        resource=scarce,
        asked=dict(asked.requests)[scarce] * asked.count,
        there=sum(free.get(scarce, 0) * count for free, count in usable),
        on_one_node=max((free.get(scarce, 0) for free, _ in usable), default=0),
        apart=pods_of[scarce] >= asked.count,
    )


def _too_many(askers: Iterable[tuple[int, int]], excess: int) -> int:
    """The fewest pods without which the rest would ask for no more than there is: the largest first.

    ``askers``: what one pod asks for, and how many of them there are.
    """
    fewer = 0
    for amount, pods in sorted(askers, reverse=True):
        gone = min(pods, -(-excess // amount))
        fewer, excess = fewer + gone, excess - gone * amount
        if excess <= 0:
            break
    return fewer
