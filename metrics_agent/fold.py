"""Nodes, pods and Jobs of this worker, as one report.

Decisions only: the time is an argument, and the order of what comes in changes nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from metrics_agent.facts import JobFacts, NodeFacts, PodFacts, Refusal
from metrics_agent.grouping import grouped
from metrics_agent.problems import most_telling
from metrics_agent.room import listed, room_for_nodes
from vocabulary.cluster_metrics import Amounts, ClusterReport, NodeGroup, NotCounted, WorkloadPods, summed

BY_CLAIM = "asks for devices by resource claim, which no amount here counts"


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
    nodes = list(nodes)
    books = _books(pod for pod in pods if not pod.ended)
    workloads, left_out = listed(_workloads(pods, jobs, refusals))
    groups, cost = grouped(
        (_entry(node, books.get(node.name, _Books())) for node in nodes), room=room_for_nodes(workloads)
    )
    return ClusterReport(
        observed_at=now,
        sequence=sequence,
        nodes=groups,
        workloads=workloads,
        not_counted=summed((*_not_counted(nodes, pods), *cost)),
        workloads_left_out=left_out,
    )


@dataclass(slots=True)
class _Books:
    """What is asked of one node."""

    requested: dict[str, int] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    terminating: dict[str, int] = field(default_factory=dict)
    terminating_until: float = 0.0
    unknown: set[str] = field(default_factory=set)  # resources of which somebody asks nobody knows how much


def _books(pods: Iterable[PodFacts]) -> Mapping[str, _Books]:
    by_node: dict[str, _Books] = {}
    for pod in pods:
        if not pod.node:
            continue
        books = by_node.get(pod.node)
        if books is None:
            books = by_node[pod.node] = _Books()
        _add(books.requested, pod.requests)
        if not pod.workload:
            _add(books.foreign, pod.requests)
        if pod.terminating:
            _add(books.terminating, pod.requests)
            books.terminating_until = max(books.terminating_until, pod.ends_by)
        elif not pod.started:
            _add(books.pending, pod.requests)
        books.unknown.update(resource for resource, _ in pod.unreadable)
    return by_node


def _add(total: dict[str, int], more: Amounts) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount


def _entry(node: NodeFacts, books: _Books) -> NodeGroup:
    """Unknown use is no room: the resource goes out of the node's allocatable."""
    has = node.allocatable
    if books.unknown:
        has = {resource: amount for resource, amount in has.items() if resource not in books.unknown}
    return NodeGroup(
        name=node.name,
        count=1,
        allocatable=has,
        requested=books.requested,
        foreign=books.foreign,
        labels=node.labels,
        taints=node.taints,
        unschedulable=node.unschedulable,
        ready=node.ready,
        conditions=node.conditions,
        pending=books.pending,
        terminating=books.terminating,
        terminating_until=books.terminating_until,
    )


def _not_counted(nodes: Iterable[NodeFacts], pods: Iterable[PodFacts]) -> Iterable[NotCounted]:
    for node in nodes:
        for resource, why in node.unreadable:
            yield NotCounted(f"node {node.name}: {resource}", why)
    for pod in pods:
        if pod.ended:
            continue
        if pod.by_claim:
            yield NotCounted(f"pod {pod.name}", BY_CLAIM)
        for resource, why in pod.unreadable:
            yield NotCounted(f"pod {pod.name}: {resource}", why)


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
        terminating_until=max((pod.ends_by for pod in pods if pod.terminating), default=0.0),
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
