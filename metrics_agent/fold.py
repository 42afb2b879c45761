"""Nodes and pods of this worker, as one report.

Nodes that are alike in every field become one entry with a count: 5,000 nodes of ten kinds fit into
an object, 5,000 entries would not (an object of etcd holds 1.5 MiB).

Decisions only: the time is an argument, and the order of what comes in changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from metrics_agent.facts import NodeFacts, PodFacts
from vocabulary.cluster_metrics import ClusterReport, NodeGroup, WorkloadPods

_Amounts: TypeAlias = dict[str, int]
_Alike: TypeAlias = tuple[object, ...]


def fold(nodes: Iterable[NodeFacts], pods: Iterable[PodFacts], *, now: float, sequence: int) -> ClusterReport:
    """What the worker has and what is asked of it at ``now`` (unix seconds).

    Pods that have ended count nowhere. Those without a node, or on a node that is not known (yet),
    ask nothing of any node, but keep their Workload in the report: its quota must not go.
    """
    living = [pod for pod in pods if not pod.ended]
    requested, foreign = _sum_by_node(living)
    return ClusterReport(
        observed_at=now,
        sequence=sequence,
        nodes=_grouped(nodes, requested, foreign),
        workloads=_workloads(living),
    )


def _sum_by_node(pods: Iterable[PodFacts]) -> tuple[Mapping[str, _Amounts], Mapping[str, _Amounts]]:
    requested: dict[str, _Amounts] = {}
    foreign: dict[str, _Amounts] = {}
    for pod in pods:
        if not pod.node:
            continue
        for sums in (requested,) if pod.workload else (requested, foreign):
            on_node = sums.setdefault(pod.node, {})
            for resource, amount in pod.requests.items():
                on_node[resource] = on_node.get(resource, 0) + amount
    return requested, foreign


def _grouped(
    nodes: Iterable[NodeFacts], requested: Mapping[str, _Amounts], foreign: Mapping[str, _Amounts]
) -> tuple[NodeGroup, ...]:
    """Groups in the order of their first node's name; each carries that name."""
    groups: dict[_Alike, tuple[NodeFacts, int]] = {}
    for node in sorted(nodes, key=lambda node: node.name):
        alike = _alike(node, requested.get(node.name, {}), foreign.get(node.name, {}))
        first, count = groups.get(alike, (node, 0))
        groups[alike] = (first, count + 1)
    return tuple(
        NodeGroup(
            name=first.name,
            count=count,
            allocatable=first.allocatable,
            requested=requested.get(first.name, {}),
            foreign=foreign.get(first.name, {}),
            labels=first.labels,
            taints=first.taints,
            unschedulable=first.unschedulable,
            ready=first.ready,
        )
        for first, count in groups.values()
    )


def _alike(node: NodeFacts, requested: _Amounts, foreign: _Amounts) -> _Alike:
    """Everything but the name, hashable. The parts are sorted: two maps may differ in order alone."""
    maps = (node.labels, node.allocatable, requested, foreign)
    return (node.taints, node.unschedulable, node.ready, *(tuple(sorted(m.items())) for m in maps))


def _workloads(pods: Iterable[PodFacts]) -> tuple[WorkloadPods, ...]:
    counts: dict[str, list[int]] = {}
    for pod in pods:
        if not pod.workload:
            continue
        bound_waiting_terminating = counts.setdefault(pod.workload, [0, 0, 0])
        bound_waiting_terminating[0 if pod.node else 1] += 1
        bound_waiting_terminating[2] += pod.terminating
    return tuple(WorkloadPods(uid, *counts[uid]) for uid in sorted(counts))
