"""The report of a worker about itself: ``ClusterMetrics.status`` (galaxy.kubestellar.io/v1alpha1).

The fields of kueue-ks (``status.nodes[]``: name, allocatableResources, allocatedResourceRequests, taints,
labels, unschedulable) keep their meaning, per node. What it lacked: time and sequence of the observation,
identical nodes summed as one entry with a ``count``, what is used by pods that are not ours, readiness,
which Workloads still have pods, and why those do not run.

Amounts are integer milli-units (1 cpu = 1000, 1 byte = 1000, 1 gpu = 1000). A resource that was not
reported is absent, never 0.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kube_runtime.quantity import format_milli, parse_milli_down, parse_milli_up

Amounts = Mapping[str, int]

PROBLEM_LENGTH: Final = 256
"""Characters of a worker's words that are kept: enough for a reason, too few to fill the object."""


@dataclass(frozen=True, slots=True)
class Taint:
    """``Node.spec.taints[]``."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """``count`` nodes that are alike in every field; amounts are per node.

    ``requested`` is what all pods bound to such a node ask for, ``foreign`` the part of it that is not ours.
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


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """One observation. ``observed_at`` is unix seconds of the worker's clock."""

    observed_at: float
    sequence: int
    nodes: tuple[NodeGroup, ...]
    workloads: tuple[WorkloadPods, ...]


class BadReport(ValueError):
    """A report that cannot be read; the text names field and value."""


def parse_report(status: Mapping[str, Any]) -> ClusterReport:
    """Read ``ClusterMetrics.status``; raises BadReport. Capacity is rounded down, use is rounded up."""
    try:
        return ClusterReport(
            observed_at=_finite(status["observedAtSeconds"], "observedAtSeconds"),
            sequence=_count(status["sequence"], "sequence"),
            nodes=tuple(_parse_nodes(node) for node in status.get("nodes") or ()),
            workloads=tuple(
                WorkloadPods(
                    str(w["uid"]),
                    _count(w.get("bound", 0), "bound"),
                    _count(w.get("waiting", 0), "waiting"),
                    _count(w.get("terminating", 0), "terminating"),
                    _count(w.get("ready", 0), "ready"),
                    str(w.get("problem") or "")[:PROBLEM_LENGTH],
                )
                for w in status.get("workloads") or ()
            ),
        )
    except KeyError as missing:
        msg = f"ClusterMetrics.status lacks {missing}"
        raise BadReport(msg) from missing
    except (TypeError, ValueError, AttributeError, OverflowError) as bad:
        msg = f"ClusterMetrics.status: {bad}"
        raise BadReport(msg) from bad


def format_report(report: ClusterReport) -> dict[str, Any]:
    """Write a report as ``ClusterMetrics.status``."""
    return {
        "observedAtSeconds": f"{report.observed_at:.3f}",
        "sequence": report.sequence,
        "nodes": [_format_nodes(group) for group in report.nodes],
        "workloads": [_format_pods(pods) for pods in report.workloads],
    }


def _parse_nodes(node: Mapping[str, Any]) -> NodeGroup:
    count = int(node.get("count", 1))
    if count < 1:
        msg = f"nodes[{node.get('name')}].count is {count}"
        raise BadReport(msg)
    requested = _amounts(node.get("allocatedResourceRequests"), parse_milli_up)
    foreign = node.get("foreignResourceRequests")
    return NodeGroup(
        name=str(node["name"]),
        count=count,
        allocatable=_amounts(node.get("allocatableResources"), parse_milli_down),
        requested=requested,
        # kueue-ks's agent cannot tell: then all of it counts as foreign, which is the safe side.
        foreign=requested if foreign is None else _amounts(foreign, parse_milli_up),
        labels=dict(node.get("labels") or {}),
        taints=tuple(
            Taint(str(t["key"]), str(t.get("value", "")), str(t["effect"])) for t in node.get("taints") or ()
        ),
        unschedulable=bool(node.get("unschedulable", False)),
        ready=bool(node.get("ready", True)),
    )


def _amounts(amounts: Mapping[str, Any] | None, parse: Callable[[Any], int]) -> dict[str, int]:
    parsed = {name: parse(value) for name, value in (amounts or {}).items()}
    for name, amount in parsed.items():
        if amount < 0:
            msg = f"{name} is {(amounts or {})[name]}"
            raise BadReport(msg)
    return parsed


def _count(value: Any, field: str) -> int:  # noqa: ANN401  whatever JSON held
    count = int(value)
    if count < 0:
        msg = f"{field} is {value}"
        raise BadReport(msg)
    return count


def _finite(value: Any, field: str) -> float:  # noqa: ANN401  whatever JSON held
    number = float(value)
    if not math.isfinite(number):
        msg = f"{field} is {value}"
        raise BadReport(msg)
    return number


def _format_nodes(group: NodeGroup) -> dict[str, Any]:
    return {
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


def _format_pods(pods: WorkloadPods) -> dict[str, Any]:
    counts = {"bound": pods.bound, "waiting": pods.waiting, "terminating": pods.terminating}
    problem = {"problem": pods.problem[:PROBLEM_LENGTH]} if pods.problem else {}
    return {"uid": pods.uid, **counts, "ready": pods.ready, **problem}


def _format_amounts(amounts: Amounts) -> dict[str, str]:
    return {resource: format_milli(amount, resource) for resource, amount in sorted(amounts.items())}
