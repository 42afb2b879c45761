"""A worker's ``ClusterMetrics.status`` as a ``ClusterReport``, whoever wrote it.

A worker may be compromised, its agent somebody else's or newer than we are. Without time and sequence a
report is none (``BadReport``). Else each cell stands by itself: a resource of a group, or a group, that makes
no sense is left out and named in ``not_counted``. Where it is unknown what is asked of a node, or to whom
that use belongs, the capacity goes out with it: unknown use is no room.

A Workload that cannot be read is different: its absence would say that its pods have ended. So is an agent
that had no room to list all of them. Such a report is none either.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kube_runtime.quantity import parse_milli_down, parse_milli_up
from vocabulary.cluster_metrics import (
    PROBLEM_LENGTH,
    ClusterReport,
    NodeGroup,
    NotCounted,
    Taint,
    WorkloadPods,
    senseless,
    summed,
)

MOST_NODES: Final = 100_000
"""In one group; Kubernetes itself is tested with 5,000 in a cluster."""

_UNUSABLE: Final = (TypeError, ValueError, AttributeError, OverflowError, KeyError)


class BadReport(ValueError):
    """A report that cannot be read; the text names field and value."""


def parse_report(status: Mapping[str, Any]) -> ClusterReport:
    """Read ``ClusterMetrics.status``; raises BadReport. Capacity is rounded down, use is rounded up."""
    try:
        left_out = [_parse_not_counted(each) for each in status.get("notCounted") or ()]
        _require_all_workloads(status)
        return ClusterReport(
            observed_at=_time(status["observedAtSeconds"], "observedAtSeconds"),
            sequence=_count(status["sequence"], "sequence"),
            nodes=tuple(_all_nodes(status.get("nodes") or (), left_out)),
            workloads=_all_workloads(status.get("workloads") or ()),
            not_counted=summed(left_out),
        )
    except KeyError as missing:
        msg = f"ClusterMetrics.status lacks {missing}"
        raise BadReport(msg) from missing
    except (TypeError, ValueError, AttributeError, OverflowError) as bad:
        msg = f"ClusterMetrics.status: {bad}"
        raise BadReport(msg) from bad


def _require_all_workloads(status: Mapping[str, Any]) -> None:
    if left_out := _count(status.get("workloadsLeftOut") or 0, "workloadsLeftOut"):
        msg = f"it had no room for {left_out} Workloads that have pods"
        raise ValueError(msg)


def _all_nodes(nodes: Sequence[Any], left_out: list[NotCounted]) -> list[NodeGroup]:
    found: dict[str, NodeGroup] = {}
    for number, node in enumerate(nodes):
        try:
            group = _parse_nodes(node, left_out)
        except _UNUSABLE as bad:
            left_out.append(NotCounted(f"nodes[{number}]", _named(bad)))
            continue
        if group.name in found:
            left_out.append(NotCounted(f"node {group.name}", "it is listed twice, and only once counted"))
            continue
        found[group.name] = group
    return list(found.values())


def _parse_nodes(node: Mapping[str, Any], left_out: list[NotCounted]) -> NodeGroup:
    name = node["name"]
    if not isinstance(name, str) or not name:
        msg = f"name is {name!r}"
        raise ValueError(msg)
    count = _count(node.get("count", 1), "count")
    if not 1 <= count <= MOST_NODES:
        msg = f"count is {count}"
        raise ValueError(msg)
    requested, foreign = node.get("allocatedResourceRequests"), node.get("foreignResourceRequests")
    bad: dict[str, str] = {}
    told: dict[str, str] = {}  # of amounts that nobody decides by: they cost no capacity
    amounts = {
        "allocatable": _amounts(node.get("allocatableResources"), parse_milli_down, bad),
        "requested": _amounts(requested, parse_milli_up, bad),
        # kueue-ks's agent cannot tell: then all of it counts as foreign, which is the safe side.
        "foreign": _amounts(requested if foreign is None else foreign, parse_milli_up, bad),
    }
    hints = {
        "pending": _amounts(node.get("pendingResourceRequests"), parse_milli_up, told),
        "terminating": _amounts(node.get("terminatingResourceRequests"), parse_milli_up, told),
    }
    left_out += [NotCounted(f"node {name}: {resource}", why, count) for resource, why in bad.items()]
    return NodeGroup(
        name=name,
        count=count,
        labels={str(key): str(value) for key, value in (node.get("labels") or {}).items()},
        taints=tuple(
            Taint(str(t["key"]), str(t.get("value", "")), str(t["effect"])) for t in node.get("taints") or ()
        ),
        unschedulable=bool(node.get("unschedulable", False)),
        ready=bool(node.get("ready", True)),
        conditions=tuple(str(each) for each in node.get("conditions") or ()),
        terminating_until=_time(node.get("terminatingUntilSeconds", 0), "terminatingUntilSeconds"),
        **{part: _without(each, bad) for part, each in amounts.items()},
        **{part: _without(each, told) for part, each in hints.items()},
    )


def _amounts(
    amounts: Mapping[str, Any] | None, parse: Callable[[Any], int], bad: dict[str, str]
) -> dict[str, int]:
    parsed = {}
    for resource, value in (amounts or {}).items():
        try:
            amount = parse(value)
        except ValueError as unreadable:
            bad.setdefault(str(resource), str(unreadable))
            continue
        if why := senseless(resource, amount):
            bad.setdefault(resource, f"{value} is {why}")
        parsed[resource] = amount
    return parsed


def _without(amounts: dict[str, int], bad: Mapping[str, str]) -> dict[str, int]:
    return {resource: amount for resource, amount in amounts.items() if resource not in bad}


def _all_workloads(entries: Sequence[Mapping[str, Any]]) -> tuple[WorkloadPods, ...]:
    """By uid."""
    found = [pods for entry in entries for pods in _parse_pods(entry)]
    return tuple(sorted(found, key=lambda pods: pods.uid))


def _parse_pods(entry: Mapping[str, Any]) -> list[WorkloadPods]:
    """``uids`` share an entry; older agents wrote one ``uid``."""
    fields = ("bound", "waiting", "terminating", "ready")
    told = {field: _count(entry.get(field, 0), field) for field in fields}
    until = _time(entry.get("terminatingUntilSeconds", 0), "terminatingUntilSeconds")
    problem = str(entry.get("problem") or "")[:PROBLEM_LENGTH]
    uids = entry["uids"] if "uids" in entry else [entry["uid"]]
    if not isinstance(uids, list | tuple):
        msg = f"uids is {uids!r}"
        raise TypeError(msg)
    return [WorkloadPods(str(uid), **told, problem=problem, terminating_until=until) for uid in uids]


def _parse_not_counted(each: Mapping[str, Any]) -> NotCounted:
    about, why = (str(each.get(part) or "")[:PROBLEM_LENGTH] for part in ("about", "why"))
    return NotCounted(about, why, _count(each.get("count", 1), "count"))


def _count(value: Any, field: str) -> int:  # noqa: ANN401  whatever JSON held
    count = int(value)
    if count < 0:
        msg = f"{field} is {value}"
        raise ValueError(msg)
    return count


def _time(value: Any, field: str) -> float:  # noqa: ANN401  whatever JSON held
    number = float(value)
    if not math.isfinite(number) or number < 0:
        msg = f"{field} is {value}"
        raise ValueError(msg)
    return number


def _named(bad: Exception) -> str:
    return f"it has no {bad}" if isinstance(bad, KeyError) else str(bad)
