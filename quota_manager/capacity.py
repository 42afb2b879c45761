"""What the clusters have for each flavor and resource, and what became of the rest.

For one resource a node belongs to the first flavor that takes it, in the order in which the ClusterQueue
tries its flavors. "For one resource": a queue may offer cpu by one group of flavors and gpus by another,
and the cpus and the gpus of one node then belong to different flavors.

Of such a node counts what it can allocate minus what pods that are not ours ask for, never less than
nothing: one overcommitted node takes nothing from its neighbours. Nodes that are cordoned or not ready
count not at all. Of a cordoned cluster counts only what our jobs use there, until they end: its free part
takes no new job, but a quota below what runs would hold up others for capacity that is still in use.

What does not count is kept too, with its reason: a quota that fell is to be explained without arithmetic.
Amounts are integer milli-units. Decisions only: clusters and groups may come in any order.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from quota_manager.facts import Cell, Flavor
from quota_manager.matching import kept_away, labels_match
from vocabulary.cluster_metrics import ClusterReport, NodeGroup, Taint

_PASSING: Final = (
    "node.kubernetes.io/"  # taints that Kubernetes sets and takes away itself: pressure, uncordoning
)


_Offer: TypeAlias = tuple[tuple[Flavor, ...], list[str]]
"""Flavors in the order they are tried, and the resources that come from them."""


class Standing(StrEnum):
    """How much of a cluster counts."""

    COUNTS = "counts"
    CORDONED = "cluster cordoned"  # only what our jobs use there
    SILENT = "cluster silent"  # nothing: the report is too old


class Excluded(StrEnum):
    """Why matching nodes do not count."""

    NOT_READY = "node not ready"
    CORDONED = "node cordoned"
    TAINTED = "node tainted"


@dataclass(frozen=True, slots=True)
class Part:
    """All nodes of one cluster that a flavor means, for one resource.

    What is left counts for us: ``allocatable`` less ``foreign`` and all that is ``excluded`` (by reason).
    """

    allocatable: int
    foreign: int
    excluded: Mapping[str, int]

    @property
    def amount(self) -> int:
        """What counts."""
        return self.allocatable - self.foreign - sum(self.excluded.values())


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
    """Nodes in use that no flavor of any managed queue takes; ``taint`` is what kept them out of one."""

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
    parts: Mapping[Cell, Part]
    """Of every cell that a node was meant for, counted or not."""
    standing: Standing


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the clusters have, and by which flavors it was counted."""

    flavors: Mapping[str, Flavor]
    offered: Mapping[str, Sequence[str]]
    shares: Mapping[str, Share]  # by cluster
    totals: Mapping[Cell, int] = field(default_factory=dict)  # of all clusters; cells of nothing are absent

    def total(self, cell: Cell) -> int:
        """What all clusters have for this cell; 0 when no node matches."""
        return self.totals.get(cell, 0)

    def by_cluster(self, cell: Cell) -> dict[str, int]:
        """What each cluster has for this cell; those without a matching node are absent."""
        return {
            name: self.shares[name].amounts[cell]
            for name in sorted(name for name, share in self.shares.items() if cell in share.amounts)
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
    cordoned: Set[str] = frozenset(),
    silent: Set[str] = frozenset(),
    before: Capacity | None = None,
) -> Capacity:
    """What the clusters have by their reports.

    ``offered`` names for each resource the flavors in the order they are tried. A flavor that is named
    there and not known takes no node. ``cordoned`` and ``silent`` are names of clusters.

    ``before`` is the answer to an earlier question and changes nothing but the time: a cluster whose
    report is the same object is not counted again, and the totals follow the clusters that changed
    (tests/bench/quota.py has the figures).
    """
    known: Mapping[str, Share] = {}
    totals: dict[Cell, int] = {}
    if before is not None and (before.flavors, before.offered) == (flavors, offered):
        known, totals = before.shares, dict(before.totals)
    offers = _offers(flavors, offered)
    shares = {}
    for cluster, report in reports.items():
        standing = Standing.COUNTS
        if cluster in silent:
            standing = Standing.SILENT
        elif cluster in cordoned:
            standing = Standing.CORDONED
        share = known.get(cluster)
        if share is None or share.report is not report or share.standing is not standing:
            fresh = _count(cluster, report, offers, standing)
            _move(totals, share, fresh)
            share = fresh
        shares[cluster] = share
    for cluster in known.keys() - shares.keys():
        _move(totals, known[cluster], None)
    return Capacity(flavors, offered, shares, {cell: total for cell, total in totals.items() if total})


def _move(totals: dict[Cell, int], old: Share | None, new: Share | None) -> None:
    """One cluster's old amounts give way to its new ones."""
    for cell, amount in (old.amounts if old else {}).items():
        totals[cell] = totals.get(cell, 0) - amount
    for cell, amount in (new.amounts if new else {}).items():
        totals[cell] = totals.get(cell, 0) + amount


def _offers(flavors: Mapping[str, Flavor], offered: Mapping[str, Sequence[str]]) -> list[_Offer]:
    """Resources that are offered by the same flavors in the same order belong together."""
    offers: dict[tuple[str, ...], list[str]] = {}
    for resource, names in offered.items():
        offers.setdefault(tuple(names), []).append(resource)
    return [
        (tuple(flavors[name] for name in names if name in flavors), resources)
        for names, resources in offers.items()
    ]


class _Sum:
    """One ``Part`` while it is added up."""

    __slots__ = ("allocatable", "counts", "excluded", "foreign")

    def __init__(self) -> None:
        self.allocatable = self.foreign = 0
        self.excluded: dict[str, int] = {}
        self.counts = False  # whether any node counts, be it with nothing

    def leave_out(self, why: str, amount: int) -> None:
        if amount:
            self.excluded[why] = self.excluded.get(why, 0) + amount


def _count(cluster: str, report: ClusterReport, offers: Sequence[_Offer], standing: Standing) -> Share:
    sums: dict[Cell, _Sum] = {}
    overlaps: set[Overlap] = set()
    unmatched: set[Unmatched] = set()
    for group in report.nodes:
        out = _out_of_use(group)
        taken = False
        for flavors, resources in offers:
            meant = [flavor for flavor in flavors if labels_match(flavor, group)]
            if not meant:
                continue
            takers = [flavor.name for flavor in meant if not kept_away(flavor, group)]
            why = out or (None if takers else Excluded.TAINTED)
            _add(sums, (takers or [meant[0].name])[0], resources, group, why, standing)
            taken = taken or bool(takers)
            if len(takers) > 1 and out is None:
                overlaps.add(Overlap(cluster, group.name, group.count, takers[0], tuple(takers[1:])))
        if offers and not (taken or out) and (left_over := _left_over(cluster, group, offers)):
            unmatched.add(left_over)
    silent = standing is Standing.SILENT
    return Share(
        report,
        {} if silent else {cell: _part(each).amount for cell, each in sums.items() if each.counts},
        () if silent else tuple(sorted(overlaps, key=lambda o: (o.node, repr(o)))),
        () if silent else tuple(sorted(unmatched, key=lambda u: (u.node, repr(u)))),
        {cell: _part(each) for cell, each in sums.items()},
        standing,
    )


def _out_of_use(group: NodeGroup) -> Excluded | None:
    if not group.ready:
        return Excluded.NOT_READY
    return Excluded.CORDONED if group.unschedulable else None


def _add(
    sums: dict[Cell, _Sum],
    flavor: str,
    resources: Sequence[str],
    group: NodeGroup,
    why: Excluded | None,
    standing: Standing,
) -> None:
    """All nodes of the group together, of the resources that they report."""
    for resource in resources:
        if resource not in group.allocatable:
            continue
        each = sums.setdefault(Cell(flavor, resource), _Sum())
        all_of_it = group.count * group.allocatable[resource]
        each.allocatable += all_of_it
        if standing is Standing.SILENT:
            each.leave_out(Standing.SILENT, all_of_it)
        elif why is not None:
            each.leave_out(why, all_of_it)
        else:
            each.counts = True
            foreign = min(group.foreign.get(resource, 0), group.allocatable[resource])
            each.foreign += group.count * foreign
            if standing is Standing.CORDONED:
                left = group.allocatable[resource] - foreign
                ours = group.requested.get(resource, 0) - group.foreign.get(resource, 0)
                each.leave_out(Standing.CORDONED, group.count * (left - max(0, min(left, ours))))


def _part(each: _Sum) -> Part:
    return Part(each.allocatable, each.foreign, each.excluded)


def _left_over(cluster: str, group: NodeGroup, offers: Sequence[_Offer]) -> Unmatched | None:
    """Nodes that no flavor takes, unless Kubernetes itself keeps them free for a while."""
    wanting = (flavor for flavors, _ in offers for flavor in flavors if labels_match(flavor, group))
    barrier = next(filter(None, (kept_away(flavor, group) for flavor in wanting)), None)
    if barrier is not None and barrier.key.startswith(_PASSING):
        return None
    return Unmatched(cluster, group.name, group.count, barrier)


def _nodes(cluster: str, node: str, count: int) -> str:
    return f"{cluster}: {node}" if count == 1 else f"{cluster}: {count} nodes like {node}"
