"""What each worker cluster has, who holds it, and whether it takes jobs. Pure.

Nothing is judged here: whether a cluster can be used is the controller's ``judged``, what is held its ledger,
and what is free its placement's own packing of promises. Capacity is that of nodes that take pods now. Held
counts whole gangs wherever their pods are, on cordoned nodes too, so that the four figures need not add up
while nodes are cordoned.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli
from kueue_ks.views.facts import Facts, rfc3339
from kueue_ks.views.missing import Missing, missing
from quota_manager.facts import ReportFacts, cluster_facts
from vocabulary.cluster_metrics import NodeGroup
from workload_controller.admission_check import judged
from workload_controller.facts import ClusterFacts, Held, ManagedClusterFacts
from workload_controller.placement import free_room

MAIN: Final = ("cpu", "memory")


class State(StrEnum):
    """Whether a cluster takes jobs. Public: part of the JSON."""

    USABLE = "Usable"
    CORDONED = "Cordoned"  # tainted NoSelect by somebody
    UNUSABLE = "Unusable"
    UNKNOWN = "Unknown"  # its ManagedCluster could not be read


@dataclass(frozen=True, slots=True)
class Room:
    """One resource of one cluster as quantities; None is not known."""

    resource: str
    capacity: str | None
    held: str | None
    foreign: str | None
    free: str | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """One row. ``why`` is the controller's own refusal, "" when the cluster takes jobs."""

    name: str
    state: State
    why: str
    cordoned: bool | None
    nodes: int | None
    nodes_taking_pods: int | None
    jobs: int | None  # placed there, not leaving
    leaving: int | None
    facts_at: str | None  # when its agent observed what it reports
    facts_age_seconds: float | None
    kubernetes: str  # version of the worker, "" when not known
    rooms: tuple[Room, ...]
    missing: tuple[Missing, ...] = ()  # what it lacks, each with its remedy


@dataclass(frozen=True, slots=True)
class ClustersReport:
    """By name. Not ``complete``: only those that our jobs name; there may be others."""

    at: str
    clusters: tuple[Cluster, ...]
    complete: bool
    unread: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Seconds, as the controllers have them by their settings."""

    stale_after: float
    settle: float


def clusters_report(facts: Facts, rules: Rules) -> ClustersReport:
    """Put the facts together; a cluster that is only known by its jobs has a row too."""
    ledger, leaving = facts.ledger, _leaving(facts)
    if facts.clusters is not None:
        rows = _rows(facts, rules, facts.clusters, ledger, leaving)
    else:
        rows = [_unread(name, _Jobs.on(name, ledger, leaving)) for name in sorted(_mentioned(facts))]
    return ClustersReport(
        at=rfc3339(facts.seen.now),
        clusters=tuple(rows),
        complete=facts.clusters is not None,
        unread=dict(facts.unread),
    )


def _mentioned(facts: Facts) -> set[str]:
    """Clusters that decisions or copies name."""
    checks = (check for _, workload in facts.workloads or () for check in workload.checks)
    decided = {check.decision.cluster for check in checks if check.decision is not None}
    return decided | {copy.cluster for copy in facts.copies or ()}


@dataclass(frozen=True, slots=True)
class _Jobs:
    """Our jobs on one cluster; None where it is not known."""

    held: Sequence[Held] | None
    leaving: int | None

    @classmethod
    def on(cls, name: str, ledger: Iterable[Held] | None, leaving: Mapping[str, int] | None) -> "_Jobs":
        held = None if ledger is None else [h for h in ledger if h.cluster == name]
        return cls(held, None if leaving is None else leaving.get(name, 0))

    @property
    def staying(self) -> int | None:
        """Attempts that hold room there and are not on their way out."""
        return None if self.held is None or self.leaving is None else len(self.held) - self.leaving


def _rows(
    facts: Facts,
    rules: Rules,
    clusters: Sequence[tuple[Obj, ManagedClusterFacts]],
    ledger: Sequence[Held] | None,
    leaving: Mapping[str, int] | None,
) -> list[Cluster]:
    reports = facts.reports or {}
    verdicts = judged(
        [cluster for _, cluster in clusters],
        {name: each.report for name, each in reports.items() if each.report is not None},
        now=facts.seen.now,
        stale_after=rules.stale_after,
        settle=rules.settle,
    )
    objects = {obj["metadata"]["name"]: (obj, managed) for obj, managed in clusters}
    return [
        _row(
            objects[each.name],
            each,
            report=reports.get(each.name),
            problem=_problem(each, reports.get(each.name), read=facts.reports is not None),
            jobs=_Jobs.on(each.name, ledger, leaving),
            age=None if each.report is None else facts.seen.now - each.report.observed_at,
            rules=rules,
        )
        for each in sorted(verdicts, key=lambda each: each.name)
    ]


def _row(
    known: tuple[Obj, ManagedClusterFacts],
    facts: ClusterFacts,
    *,
    report: ReportFacts | None,
    problem: str | None,
    jobs: _Jobs,
    age: float | None,
    rules: Rules,
) -> Cluster:
    obj, managed = known
    cordoned = cluster_facts(obj).cordoned
    nodes = facts.report.nodes if facts.report else None
    fresh = age is not None and abs(age) <= rules.stale_after
    return Cluster(
        name=facts.name,
        state=_state(facts.refusal, cordoned=cordoned, known=problem is not None),
        why=_why(facts.refusal, problem),
        cordoned=cordoned,
        nodes=None if nodes is None else sum(g.count for g in nodes),
        nodes_taking_pods=None if nodes is None else sum(g.count for g in _taking_pods(facts)),
        jobs=jobs.staying,
        leaving=jobs.leaving,
        facts_at=rfc3339(facts.report.observed_at) if facts.report else None,
        facts_age_seconds=None if age is None else round(age, 1),
        kubernetes=((obj.get("status") or {}).get("version") or {}).get("kubernetes", ""),
        rooms=tuple(_rooms(facts, jobs.held, fresh=fresh)),
        missing=()
        if problem is None
        else missing(managed, facts, report, age=age, stale_after=rules.stale_after),
    )


def _unread(name: str, jobs: _Jobs) -> Cluster:
    """A cluster of which we only know that jobs are placed there."""
    return Cluster(
        name=name,
        state=State.UNKNOWN,
        why="its ManagedCluster was not read",
        cordoned=None,
        nodes=None,
        nodes_taking_pods=None,
        jobs=jobs.staying,
        leaving=jobs.leaving,
        facts_at=None,
        facts_age_seconds=None,
        kubernetes="",
        rooms=tuple(_rooms(ClusterFacts(name, "", None), jobs.held, fresh=False)),
    )


def _problem(cluster: ClusterFacts, report: ReportFacts | None, *, read: bool) -> str | None:
    """What is wrong with its report, "" when nothing; None when reports were not read."""
    if not read:
        return None
    return report.problem if report is not None and cluster.report is None else ""


def _state(refusal: str, *, cordoned: bool, known: bool) -> State:
    if cordoned:
        return State.CORDONED
    if not known:
        return State.UNKNOWN
    return State.UNUSABLE if refusal else State.USABLE


def _why(refusal: str, problem: str | None) -> str:
    if problem is None:
        return "its report was not read"
    return f"{refusal}: {problem}" if refusal and problem else refusal


def _leaving(facts: Facts) -> dict[str, int] | None:
    if facts.copies is None:
        return None
    counts: dict[str, int] = {}
    for copy in facts.copies:
        counts[copy.cluster] = counts.get(copy.cluster, 0) + (copy.leaving_since is not None)
    return counts


def _taking_pods(facts: ClusterFacts) -> list[NodeGroup]:
    """The nodes that placement looks at."""
    return [g for g in facts.report.nodes if g.ready and not g.unschedulable] if facts.report else []


def _rooms(facts: ClusterFacts, own: Sequence[Held] | None, *, fresh: bool) -> Iterable[Room]:
    """An old report says what nodes there were; what others use and what is free now it does not say."""
    taking = _taking_pods(facts)
    capacity = _sum((g.allocatable, g.count) for g in taking)
    foreign = _sum((g.foreign, g.count) for g in taking)
    held = None if own is None else _sum((p.requests, p.count) for h in own for p in h.pod_sets)
    free = free_room(facts, own) if fresh and own is not None else None
    offered = {name for g in (facts.report.nodes if facts.report else ()) for name in g.allocatable}
    for resource in sorted(offered | (held or {}).keys() | set(MAIN), key=resource_order):
        yield Room(
            resource,
            capacity=format_milli(capacity.get(resource, 0), resource) if facts.report else None,
            held=None if held is None else format_milli(held.get(resource, 0), resource),
            foreign=format_milli(foreign.get(resource, 0), resource) if fresh else None,
            free=None if free is None else format_milli(free.get(resource, 0), resource),
        )


def resource_order(resource: str) -> tuple[int, str]:
    """Cpu, memory, GPUs, then the others."""
    rank = MAIN.index(resource) if resource in MAIN else 2 if is_gpu(resource) else 3
    return (rank, resource)


def is_gpu(resource: str) -> bool:
    """Whether a resource's name says so: nvidia.com/gpu, amd.com/gpu, nvidia.com/mig-1g.5gb."""
    return "gpu" in resource or "/mig-" in resource


def _sum(amounts: Iterable[tuple[Mapping[str, int], int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each, count in amounts:
        for resource, amount in each.items():
            total[resource] = total.get(resource, 0) + amount * count
    return total
