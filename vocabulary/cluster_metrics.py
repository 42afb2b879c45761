"""The report of a worker about itself: ``ClusterMetrics.status`` (galaxy.kubestellar.io/v1alpha1).

The fields of kueue-ks (``status.nodes[]``: name, allocatableResources, allocatedResourceRequests, taints,
labels, unschedulable) keep their meaning, per node. What it lacked: time and sequence of the observation,
identical nodes summed as one entry with a ``count``, what is used by pods that are not ours, readiness,
which Workloads still have pods, why those do not run, and what the amounts leave out.

Amounts are integer milli-units (1 cpu = 1000, 1 byte = 1000, 1 gpu = 1000). A resource that was not
reported is absent, never 0. ``report_reading`` reads what this module writes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kube_runtime.quantity import format_milli

Amounts = Mapping[str, int]

PROBLEM_LENGTH: Final = 256
"""Characters of a worker's words that are kept: enough for a reason, too few to fill the object."""

MOST_NOT_COUNTED: Final = 32
"""Entries of ``ClusterReport.not_counted``; what is beyond them is counted in the last one."""

_CORES: Final = 1_000_000
_BYTES: Final = 1 << 60
_OTHERS: Final = 10**15  # bandwidth in bits per second is the greatest unit seen


@dataclass(frozen=True, slots=True)
class Taint:
    """``Node.spec.taints[]``."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """``count`` nodes that are alike in every field but the last; amounts are per node.

    ``requested`` is what all pods bound to such a node ask for. Parts of it: ``foreign`` is not ours,
    ``pending`` belongs to pods that have a node and have not started, ``terminating`` to pods that are being
    deleted. Pending and terminating are for people: they are left out of a report that grows too large.
    """

    name: str  # of the first node of the group
    count: int
    allocatable: Amounts
    requested: Amounts
    foreign: Amounts
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    ready: bool
    conditions: tuple[str, ...] = ()  # other ones that are True: MemoryPressure, and what detectors set
    pending: Amounts = field(default_factory=dict)
    terminating: Amounts = field(default_factory=dict)
    terminating_until: float = 0.0  # unix seconds; when the last grace period ends, 0 without such pods


@dataclass(frozen=True, slots=True)
class WorkloadPods:
    """Pods of one Workload that have not ended on this worker; ``terminating`` of them are being deleted.

    ``problem`` is why pods do not run, in the worker's words: "ImagePullBackOff: …", "" when they do. With it
    a Workload is reported without any pod too, when its Job tries to make some and is refused.
    """

    uid: str
    bound: int
    waiting: int
    terminating: int
    ready: int = 0
    problem: str = ""
    terminating_until: float = 0.0  # unix seconds; when the last grace period ends, 0 without such pods


@dataclass(frozen=True, slots=True)
class NotCounted:
    """What the amounts of a report leave out, for one reason; ``about`` is the first of ``count`` such."""

    about: str
    why: str
    count: int = 1

    def __str__(self) -> str:
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        return f"{self.about}{more}: {self.why}"


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """One observation. ``observed_at`` is unix seconds of the worker's clock."""

    observed_at: float
    sequence: int
    nodes: tuple[NodeGroup, ...]
    workloads: tuple[WorkloadPods, ...]
    not_counted: tuple[NotCounted, ...] = ()
    workloads_left_out: int = 0  # no room; never in one that was read: such a report is not believed


def senseless(resource: str, amount: int) -> str:
    """Why no node has this much of a resource (milli-units), "" when one may."""
    if amount < 0:
        return "less than nothing"
    if amount > 1000 * _most(resource):
        return f"more than any node has ({_most(resource)})"
    return ""


def summed(left_out: Iterable[NotCounted]) -> tuple[NotCounted, ...]:
    """One entry per reason, the first in order with the sum; never more than ``MOST_NOT_COUNTED``."""
    by_reason: dict[str, NotCounted] = {}
    for each in sorted(left_out, key=lambda each: (each.why, each.about)):
        first = by_reason.get(each.why)
        by_reason[each.why] = (
            NotCounted(first.about, each.why, first.count + each.count) if first is not None else each
        )
    kept = list(by_reason.values())
    if len(kept) <= MOST_NOT_COUNTED:
        return tuple(kept)
    rest = kept[MOST_NOT_COUNTED - 1 :]
    return (
        *kept[: MOST_NOT_COUNTED - 1],
        NotCounted(rest[0].about, "and for further reasons", sum(each.count for each in rest)),
    )


def format_report(report: ClusterReport) -> dict[str, Any]:
    """Write a report as ``ClusterMetrics.status``. Workloads of which the same is told share an entry."""
    said = {
        "observedAtSeconds": _format_time(report.observed_at),
        "sequence": report.sequence,
        "nodes": [format_nodes(group) for group in report.nodes],
        "workloads": format_workloads(report.workloads),
    }
    if report.workloads_left_out:
        said["workloadsLeftOut"] = report.workloads_left_out
    if report.not_counted:
        said["notCounted"] = [_format_not_counted(each) for each in report.not_counted]
    return said


def format_nodes(group: NodeGroup) -> dict[str, Any]:
    """One entry of ``nodes``."""
    said: dict[str, Any] = {
        "name": group.name,
        "count": group.count,
        "allocatableResources": _format_amounts(group.allocatable),
        "allocatedResourceRequests": _format_amounts(group.requested),
        "foreignResourceRequests": _format_amounts(group.foreign),
        "labels": dict(group.labels),
        "taints": [{"key": t.key, "value": t.value, "effect": t.effect} for t in group.taints],
        "unschedulable": group.unschedulable,
        "ready": group.ready,
    }
    if group.conditions:
        said["conditions"] = list(group.conditions)
    if group.pending:
        said["pendingResourceRequests"] = _format_amounts(group.pending)
    if group.terminating:
        said["terminatingResourceRequests"] = _format_amounts(group.terminating)
    if group.terminating_until:
        said["terminatingUntilSeconds"] = _format_time(group.terminating_until)
    return said


def format_workloads(workloads: Iterable[WorkloadPods]) -> list[dict[str, Any]]:
    """The entries of ``workloads``: 30,000 of them that just run are 1.2 MB of uids and one entry."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for pods in workloads:
        told = (
            pods.bound,
            pods.waiting,
            pods.terminating,
            pods.ready,
            pods.problem[:PROBLEM_LENGTH],
            pods.terminating_until,
        )
        alike.setdefault(told, []).append(pods.uid)
    return [_format_pods(uids, *told) for told, uids in alike.items()]


def _format_pods(
    uids: list[str], bound: int, waiting: int, terminating: int, ready: int, problem: str, until: float
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "uids": uids,
        "bound": bound,
        "waiting": waiting,
        "terminating": terminating,
        "ready": ready,
    }
    if problem:
        said["problem"] = problem
    if until:
        said["terminatingUntilSeconds"] = _format_time(until)
    return said


def _format_not_counted(each: NotCounted) -> dict[str, Any]:
    return {"about": each.about[:PROBLEM_LENGTH], "why": each.why[:PROBLEM_LENGTH], "count": each.count}


def _format_amounts(amounts: Amounts) -> dict[str, str]:
    return {resource: format_milli(amount, resource) for resource, amount in sorted(amounts.items())}


def _format_time(unix_seconds: float) -> str:
    return f"{unix_seconds:.3f}"


def _most(resource: str) -> int:
    if resource == "cpu":
        return _CORES
    is_bytes = resource in {"memory", "ephemeral-storage", "storage"} or resource.startswith("hugepages-")
    return _BYTES if is_bytes else _OTHERS
