"""What the clusters have for each flavor and resource.

For one resource a node belongs to the first flavor that takes it, in the order in which the ClusterQueue
tries its flavors. "For one resource": a queue may offer cpu by one group of flavors and gpus by another,
and the cpus and the gpus of one node then belong to different flavors.

A flavor takes a node whose labels include its nodeLabels and whose taints keep none of its pods away:
each NoSchedule or NoExecute taint is among the flavor's nodeTaints (Kueue then asks the workload to
tolerate it) or tolerated by the flavor's tolerations (Kueue adds those to the pods).

Of such a node counts what it can allocate minus what pods that are not ours ask for, never less than
nothing: one overcommitted node takes nothing from its neighbours. Nodes that are cordoned or not ready
count not at all. Amounts are integer milli-units.

Decisions only: clusters and groups may come in any order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from quota_manager.facts import Cell, Flavor, Toleration
from vocabulary.cluster_metrics import ClusterReport, NodeGroup, Taint

_HARD: Final = frozenset({"NoSchedule", "NoExecute"})  # PreferNoSchedule keeps nobody away
_PASSING: Final = (
    "node.kubernetes.io/"  # taints that Kubernetes sets and takes away itself: pressure, uncordoning
)


_Offer: TypeAlias = tuple[tuple[Flavor, ...], list[str]]
"""Flavors in the order they are tried, and the resources that come from them."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Nodes that a later flavor would have taken too; only ``counted_as`` has them."""

    cluster: str
    node: str  # the first of ``count`` nodes that are alike
    count: int
    counted_as: str
    also: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{_nodes(self.cluster, self.node, self.count)} counted as {self.counted_as}, "
            f"though they match {', '.join(self.also)} too; give these flavors nodeLabels that differ"
        )


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Ready nodes that no flavor of any managed queue takes; ``taint`` is what kept them out of one."""

    cluster: str
    node: str
    count: int
    taint: Taint | None

    def __str__(self) -> str:
        who = _nodes(self.cluster, self.node, self.count)
        if self.taint is None:
            return f"{who} in no flavor: no ResourceFlavor's nodeLabels match their labels"
        return f"{who} in no flavor: no ResourceFlavor tolerates {self.taint.key}:{self.taint.effect}"


@dataclass(frozen=True, slots=True)
class Share:
    """What one cluster has by this report. A cell without any matching node is absent."""

    report: ClusterReport
    amounts: Mapping[Cell, int]
    overlaps: tuple[Overlap, ...]
    unmatched: tuple[Unmatched, ...]


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the clusters have, and by which flavors it was counted."""

    flavors: Mapping[str, Flavor]
    offered: Mapping[str, Sequence[str]]
    shares: Mapping[str, Share]  # by cluster

    def total(self, cell: Cell) -> int:
        """What all clusters have for this cell; 0 when no node matches."""
        return sum(share.amounts.get(cell, 0) for share in self.shares.values())

    def by_cluster(self, cell: Cell) -> dict[str, int]:
        """What each cluster has for this cell; those without a matching node are absent."""
        return {
            name: self.shares[name].amounts[cell]
            for name in sorted(self.shares)
            if cell in self.shares[name].amounts
        }

    @property
    def overlaps(self) -> list[Overlap]:
        """Of all clusters."""
        return [overlap for name in sorted(self.shares) for overlap in self.shares[name].overlaps]

    @property
    def unmatched(self) -> list[Unmatched]:
        """Of all clusters."""
        return [unmatched for name in sorted(self.shares) for unmatched in self.shares[name].unmatched]


def fold(
    reports: Mapping[str, ClusterReport],
    flavors: Mapping[str, Flavor],
    offered: Mapping[str, Sequence[str]],
    *,
    before: Capacity | None = None,
) -> Capacity:
    """What the clusters have by their reports.

    ``offered`` names for each resource the flavors in the order they are tried. A flavor that is named
    there and not known takes no node.

    ``before`` is the answer to an earlier question and changes nothing but the time: a cluster whose
    report is the same object is not counted again (1,000 clusters with 100,000 unlike nodes: 0.7 s at
    first, 2 ms for each report after that).
    """
    known: Mapping[str, Share] = {}
    if before is not None and (before.flavors, before.offered) == (flavors, offered):
        known = before.shares
    offers = _offers(flavors, offered)
    shares = {}
    for cluster, report in reports.items():
        share = known.get(cluster)
        same = share is not None and share.report is report
        shares[cluster] = share if share is not None and same else _count(cluster, report, offers)
    return Capacity(flavors, offered, shares)


def _offers(flavors: Mapping[str, Flavor], offered: Mapping[str, Sequence[str]]) -> list[_Offer]:
    """Resources that are offered by the same flavors in the same order belong together."""
    offers: dict[tuple[str, ...], list[str]] = {}
    for resource, names in offered.items():
        offers.setdefault(tuple(names), []).append(resource)
    return [
        (tuple(flavors[name] for name in names if name in flavors), resources)
        for names, resources in offers.items()
    ]


def _count(cluster: str, report: ClusterReport, offers: Sequence[_Offer]) -> Share:
    amounts: dict[Cell, int] = {}
    overlaps: set[Overlap] = set()
    unmatched: set[Unmatched] = set()
    for group in report.nodes:
        if group.unschedulable or not group.ready:
            continue
        taken = False
        for flavors, resources in offers:
            takers = [flavor.name for flavor in flavors if _takes(flavor, group)]
            if not takers:
                continue
            taken = True
            _add(amounts, takers[0], resources, group)
            if len(takers) > 1:
                overlaps.add(Overlap(cluster, group.name, group.count, takers[0], tuple(takers[1:])))
        if offers and not taken and (left_over := _left_over(cluster, group, offers)):
            unmatched.add(left_over)
    return Share(
        report,
        amounts,
        tuple(sorted(overlaps, key=lambda o: (o.node, repr(o)))),
        tuple(sorted(unmatched, key=lambda u: (u.node, repr(u)))),
    )


def _add(amounts: dict[Cell, int], flavor: str, resources: Sequence[str], group: NodeGroup) -> None:
    """What is left for us on all nodes of the group together, of the resources that they report."""
    for resource in resources:
        if resource in group.allocatable:
            cell = Cell(flavor, resource)
            left = max(0, group.allocatable[resource] - group.foreign.get(resource, 0))
            amounts[cell] = amounts.get(cell, 0) + group.count * left


def _left_over(cluster: str, group: NodeGroup, offers: Sequence[_Offer]) -> Unmatched | None:
    """Nodes that no flavor takes, unless Kubernetes itself keeps them free for a while."""
    wanting = (flavor for flavors, _ in offers for flavor in flavors if _labels_match(flavor, group))
    barrier = next(filter(None, (_kept_away(flavor, group) for flavor in wanting)), None)
    if barrier is not None and barrier.key.startswith(_PASSING):
        return None
    return Unmatched(cluster, group.name, group.count, barrier)


def _takes(flavor: Flavor, group: NodeGroup) -> bool:
    return _labels_match(flavor, group) and not _kept_away(flavor, group)


def _labels_match(flavor: Flavor, group: NodeGroup) -> bool:
    return flavor.node_labels.items() <= group.labels.items()


def _kept_away(flavor: Flavor, group: NodeGroup) -> Taint | None:
    """The first taint that keeps the flavor's pods off these nodes."""
    for taint in group.taints:
        if taint.effect not in _HARD or taint in flavor.node_taints:
            continue
        if not any(_tolerates(toleration, taint) for toleration in flavor.tolerations):
            return taint
    return None


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    """core/v1 ``Toleration.ToleratesTaint``; operators unknown to us (Lt, Gt: alpha) tolerate nothing."""
    if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Equal":
            return toleration.value == taint.value
        case _:
            return False


def _nodes(cluster: str, node: str, count: int) -> str:
    return f"{cluster}: {node}" if count == 1 else f"{cluster}: {count} nodes like {node}"
