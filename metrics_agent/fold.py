"""Nodes, pods and Jobs of this worker, as one report.

Nodes that are alike in every field become one entry with a count: 5,000 nodes of ten kinds fit into
an object, 5,000 entries would not (an object of etcd holds 1.5 MiB).

Decisions only: the time is an argument, and the order of what comes in changes nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from metrics_agent.facts import JobFacts, NodeFacts, PodFacts, Refusal
from metrics_agent.problems import most_telling
from vocabulary.cluster_metrics import ClusterReport, NodeGroup, WorkloadPods

_Amounts: TypeAlias = dict[str, int]
_Alike: TypeAlias = tuple[object, ...]


def fold(
    nodes: Iterable[NodeFacts],
    pods: Collection[PodFacts],
    jobs: Iterable[JobFacts] = (),
    refusals: Iterable[Refusal] = (),
    *,
    now: float,
    sequence: int,
) -> ClusterReport:
    """What the worker has and what is asked of it at ``now`` (unix seconds).

    Pods that have ended count nowhere. Those without a node, or on a node that is not known (yet),
    ask nothing of any node, but keep their Workload in the report: its quota must not go.
    """
    requested, foreign = _sum_by_node(pod for pod in pods if not pod.ended)
    return ClusterReport(
        observed_at=now,
        sequence=sequence,
        nodes=_grouped(nodes, requested, foreign),
        workloads=_workloads(pods, jobs, refusals),
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


def _workloads(
    pods: Iterable[PodFacts], jobs: Iterable[JobFacts], refusals: Iterable[Refusal]
) -> tuple[WorkloadPods, ...]:
    pods_of: dict[str, list[PodFacts]] = {}
    for pod in pods:
        if pod.workload:
            pods_of.setdefault(pod.workload, []).append(pod)
    refused = _refused(jobs, refusals, pods_of)
    living_of = {uid: [pod for pod in ones if not pod.ended] for uid, ones in pods_of.items()}
    uids = refused.keys() | {uid for uid, living in living_of.items() if living}
    return tuple(_counted(uid, living_of.get(uid, []), refused.get(uid, "")) for uid in sorted(uids))


def _counted(uid: str, pods: Collection[PodFacts], refused: str) -> WorkloadPods:
    bound = sum(bool(pod.node) for pod in pods)
    return WorkloadPods(
        uid,
        bound=bound,
        waiting=len(pods) - bound,
        terminating=sum(pod.terminating for pod in pods),
        ready=sum(pod.ready for pod in pods),
        problem=most_telling(pod.problem for pod in pods) or refused,
    )


def _refused(
    jobs: Iterable[JobFacts], refusals: Iterable[Refusal], pods_of: Mapping[str, Collection[PodFacts]]
) -> Mapping[str, str]:
    """Workload uid to why its Job lacks pods.

    An event outlives its cause by up to an hour: it counts only when no pod was made since, so that the
    moment between two pods of a Job is no refusal. Times are whole seconds of the worker's clock.
    """
    last: dict[str, Refusal] = {}
    for one in refusals:
        last[one.job] = max(one, last.get(one.job, one), key=lambda r: (r.at, r.text))
    refused: dict[str, str] = {}
    for job in jobs:
        pods, newest = pods_of.get(job.workload, ()), last.get(job.uid)
        if newest is None or sum(not (pod.ended or pod.terminating) for pod in pods) >= job.wanted:
            continue
        if newest.at >= max((pod.created_at for pod in pods), default=job.created_at):
            refused[job.workload] = max(newest.text, refused.get(job.workload, ""))
    return refused
