"""Facts for tests: each builder names only what a row is about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quota_manager.decision import World
from quota_manager.facts import Cell, ClusterFacts, Flavor, FlavorGroup, QueueFacts, ReportFacts, Toleration
from vocabulary.cluster_metrics import Amounts, ClusterReport, NodeGroup, Taint

CPU = Cell("default", "cpu")


def cluster(
    name: str = "w1",
    *,
    accepted: bool = True,
    cordoned: bool = False,
    available: bool = True,
    label: str | None = "",
) -> ClusterFacts:
    """``label`` "" is the right one."""
    return ClusterFacts(name, f"uid-{name}", accepted, cordoned, available, name if label == "" else label)


def nodes(
    allocatable: Amounts,
    *,
    name: str = "n1",
    count: int = 1,
    foreign: Amounts | None = None,
    ours: Amounts | None = None,
    labels: Mapping[str, str] | None = None,
    taints: Sequence[Taint] = (),
    unschedulable: bool = False,
    ready: bool = True,
) -> NodeGroup:
    """``ours`` and ``foreign`` are used by pods; together they are what is requested."""
    theirs, mine = foreign or {}, ours or {}
    requested = {r: theirs.get(r, 0) + mine.get(r, 0) for r in theirs.keys() | mine.keys()}
    return NodeGroup(
        name=name,
        count=count,
        allocatable=allocatable,
        requested=requested,
        foreign=theirs,
        labels=labels or {},
        taints=tuple(taints),
        unschedulable=unschedulable,
        ready=ready,
    )


def report(*groups: NodeGroup, at: float = 0.0, sequence: int = 1) -> ClusterReport:
    return ClusterReport(at, sequence, groups, ())


def cpus(milli: int, *, at: float = 0.0, sequence: int = 1) -> ClusterReport:
    """A report of one node."""
    return report(nodes({"cpu": milli}), at=at, sequence=sequence)


def flavor(
    name: str = "default",
    *,
    labels: Mapping[str, str] | None = None,
    taints: Sequence[Taint] = (),
    tolerations: Sequence[Toleration] = (),
    **fields: Any,
) -> Flavor:
    return Flavor(name, labels or {}, tuple(taints), tuple(tolerations), **fields)


def queue(
    name: str = "cq",
    quotas: Mapping[Cell, int] | None = None,
    *,
    managed: bool = True,
    generation: int = 1,
    ours: Iterable[Cell] | None = None,
    **fields: Any,
) -> QueueFacts:
    """One resource group per resource, with the flavors in the order of the cells."""
    quotas = {CPU: 0} if quotas is None else quotas
    offered: dict[str, list[str]] = {}
    for cell in quotas:
        offered.setdefault(cell.resource, []).append(cell.flavor)
    groups = tuple(FlavorGroup((resource,), tuple(flavors)) for resource, flavors in offered.items())
    mine = frozenset(quotas if ours is None else ours)
    return QueueFacts(name, f"uid-{name}", managed, generation, groups, quotas, mine, **fields)


def world(
    clusters: Sequence[ClusterFacts],
    reports: Mapping[str, ClusterReport | None],
    queues: Sequence[QueueFacts],
    flavors: Sequence[Flavor] = (flavor(),),
) -> World:
    return World(
        clusters={c.name: c for c in clusters},
        reports={name: ReportFacts(name, r, "" if r else "unreadable") for name, r in reports.items()},
        flavors={f.name: f for f in flavors},
        queues={q.key: q for q in queues},
    )
