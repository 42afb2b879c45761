"""I4: what is placed on a cluster never exceeds what it has.

Judged whenever something is added: a node that shrinks, is cordoned or dies under its pods is nobody's
overbooking, but the next pod placed on it is. Room on cordoned nodes does not count, nor do the pods on them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.judge.facts import NodeState
from tests.judge.history import History, NodeChange, PodLife, grouped
from tests.judge.quantities import Amounts, add, show
from tests.judge.rules import Rules, Violation

SECOND = 1_000_000

# At one instant, what gives room comes first.
_END, _NODE, _BEGIN, _BIND = range(4)


def within_capacity(history: History, rules: Rules) -> Iterator[Violation]:
    """For each worker: bound pods against their node, our pods against all schedulable nodes."""
    pods = grouped(history.pods, lambda pod: pod.cluster)
    nodes = grouped(history.nodes, lambda change: change.cluster)
    for cluster in sorted({*pods, *nodes}):
        if rules.is_worker(cluster):
            yield from _Cluster(cluster).judge(pods.get(cluster, []), nodes.get(cluster, []))


@dataclass(slots=True)
class _Cluster:
    """The sums at one instant of the sweep."""

    name: str
    nodes: dict[str, NodeState] = field(default_factory=dict)
    bound: dict[str, Amounts] = field(default_factory=lambda: defaultdict(dict))  # all pods, by node
    ours_bound: dict[str, Amounts] = field(default_factory=lambda: defaultdict(dict))
    ours: Amounts = field(default_factory=dict)
    over: set[tuple[str, str]] = field(default_factory=set)  # (node or "", resource) already reported
    placed: dict[str, str] = field(default_factory=dict)  # pod uid to node, while both count

    def judge(self, pods: list[PodLife], changes: list[NodeChange]) -> Iterator[Violation]:
        """Sweep through the certain life times of pods, and the widest of capacity."""
        for at, step, subject in sorted(_steps(pods, changes), key=lambda item: item[:2]):
            if isinstance(subject, NodeChange):
                self._change(subject)
            elif step == _END:
                self._end(subject)
            elif step == _BEGIN:
                if subject.workload:
                    add(self.ours, subject.requests)
                    yield from self._check_cluster(at, subject)
            else:
                self._bind(subject)
                yield from self._check_node(at, subject)

    def _change(self, change: NodeChange) -> None:
        if change.state is None:
            self.nodes.pop(change.name, None)
        else:
            self.nodes[change.name] = change.state
        self.over = {(node, resource) for node, resource in self.over if node not in {"", change.name}}

    def _bind(self, pod: PodLife) -> None:
        self.placed[pod.uid] = pod.node
        add(self.bound[pod.node], pod.requests)
        if pod.workload:
            add(self.ours_bound[pod.node], pod.requests)

    def _end(self, pod: PodLife) -> None:
        if pod.workload:
            add(self.ours, pod.requests, -1)
        node = self.placed.pop(pod.uid, "")
        if node:
            add(self.bound[node], pod.requests, -1)
            if pod.workload:
                add(self.ours_bound[node], pod.requests, -1)
        self.over = {(where, resource) for where, resource in self.over if where not in {"", node}}

    def _check_node(self, at: int, pod: PodLife) -> Iterator[Violation]:
        node = self.nodes.get(pod.node)
        if node is None or node.allocatable is None:
            return  # not known is not zero
        for resource, amount in pod.requests.items():
            total, room = self.bound[pod.node][resource], node.allocatable.get(resource, 0)
            if amount and total > room and (pod.node, resource) not in self.over:
                self.over.add((pod.node, resource))
                yield self._violation(
                    at, pod, f"node {pod.node} has {resource} {show(room)}, its pods ask {show(total)}"
                )

    def _check_cluster(self, at: int, pod: PodLife) -> Iterator[Violation]:
        usable = {name: node for name, node in self.nodes.items() if node.schedulable}
        if not usable or any(node.allocatable is None for node in usable.values()):
            return
        for resource, amount in pod.requests.items():
            room = sum((node.allocatable or {}).get(resource, 0) for node in usable.values())
            elsewhere = sum(
                held.get(resource, 0) for name, held in self.ours_bound.items() if name not in usable
            )
            total = self.ours[resource] - elsewhere
            if amount and total > room and ("", resource) not in self.over:
                self.over.add(("", resource))
                yield self._violation(
                    at,
                    pod,
                    f"schedulable nodes have {resource} {show(room)}, our living pods ask {show(total)}",
                )

    def _violation(self, at: int, pod: PodLife, sums: str) -> Violation:
        return Violation(
            "I4", at / SECOND, self.name, f"{sums} since {pod.title} (Workload {pod.workload or 'none'})"
        )


_Step = tuple[int, int, PodLife | NodeChange]


def _steps(pods: list[PodLife], changes: list[NodeChange]) -> Iterator[tuple[int, int, PodLife | NodeChange]]:
    """Pods count while they certainly live; capacity as early and as long as it may have been there."""
    known: dict[str, NodeState] = {}
    for change in changes:
        at = change.when.earliest if _is_gain(known.get(change.name), change.state) else change.when.latest
        yield at, _NODE, change
        if change.state is None:
            known.pop(change.name, None)
        else:
            known[change.name] = change.state
    for pod in pods:
        begin, end = pod.appeared.latest, pod.ended.earliest if pod.ended else None
        if end is not None and end <= begin:
            continue
        yield begin, _BEGIN, pod
        bound = max(begin, pod.bound.latest) if pod.bound else None
        if bound is not None and (end is None or bound < end):
            yield bound, _BIND, pod
        if end is not None:
            yield end, _END, pod


def _is_gain(before: NodeState | None, after: NodeState | None) -> bool:
    if after is None:
        return False
    if before is None or before.allocatable is None or after.allocatable is None:
        return True
    if before.schedulable and not after.schedulable:
        return False
    return all(after.allocatable.get(name, 0) >= amount for name, amount in before.allocatable.items())
