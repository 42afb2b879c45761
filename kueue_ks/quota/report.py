"""What the quotas are made of, by QuotaManager's own decision over the listed objects. Pure.

It is what a QuotaManager would want that has heard all reports just now and waits for nothing: so a quota
that is about to fall shows as a difference already. Half of the facts would show capacity that is not there
or hide what is: where one list is missing, only the quotas as they are now are told.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli, parse_milli_up
from kueue_ks.views.clusters import resource_order
from kueue_ks.views.facts import rfc3339
from kueue_ks.views.seen import Seen
from quota_manager.capacity import Part
from quota_manager.decision import Decision, Memory, Rules, World, decide
from quota_manager.facts import (
    Cell,
    QueueFacts,
    ReportFacts,
    cluster_facts,
    cohort_facts,
    flavor_facts,
    newest,
    queue_facts,
    report_facts,
)
from quota_manager.left_out import not_counted
from quota_manager.trust import Instant


@dataclass(frozen=True, slots=True)
class ClusterPart:
    """One cluster's nodes for a flavor and resource; ``capacity`` is what is left of ``allocatable``."""

    cluster: str
    allocatable: str
    excluded: Mapping[str, str]  # by reason
    foreign: str
    capacity: str
    why: str  # why the cluster is silent


@dataclass(frozen=True, slots=True)
class QueuePart:
    """The quota of one ClusterQueue or Cohort. ``reserved`` is in use or promised; None for a Cohort."""

    kind: str
    name: str
    weight: int
    managed: bool  # by QuotaManager, or set by hand
    quota: str
    wanted: str | None  # None: not known
    reserved: str | None


@dataclass(frozen=True, slots=True)
class CellReport:
    """A resource of a flavor. ``capacity``, ``reserve`` and ``wanted`` are None where they are not known."""

    flavor: str
    resource: str
    clusters: tuple[ClusterPart, ...]
    capacity: str | None
    reserve: str | None
    quota: str
    wanted: str | None
    queues: tuple[QueuePart, ...]


@dataclass(frozen=True, slots=True)
class QuotaReport:
    """``kept``: why quotas stay though they may be wrong. ``notes``: what is not as it should be."""

    at: str
    cells: tuple[CellReport, ...]
    kept: str
    notes: tuple[str, ...]
    managed: tuple[str, ...]  # ClusterQueues, and Cohorts as "cohort/NAME"
    unread: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """The listed objects as QuotaManager reads them, and what it makes of them; None: not all was read."""

    queues: Mapping[str, QueueFacts]  # by key
    raw: Mapping[str, Obj]
    decision: Decision | None
    unread: Mapping[str, str]

    @property
    def managed(self) -> list[QueueFacts]:
        """In the order of their keys."""
        return [self.queues[key] for key in sorted(self.queues) if self.queues[key].managed]


def known(seen: Seen, *, stale_after: float) -> Known:
    """Read and decide. An object that cannot be read is left out, as an informer would, and named."""
    unread = dict(seen.unread)
    queues: dict[str, QueueFacts] = {}
    raw: dict[str, Obj] = {}
    reports: dict[str, ReportFacts] = {}
    clusters, flavors = {}, {}
    for each in _objects(seen):
        what, obj = each
        try:
            match what:
                case "clusterqueues" | "cohorts":
                    queue = (queue_facts if what == "clusterqueues" else cohort_facts)(obj)
                    queues[queue.key], raw[queue.key] = queue, obj
                case "managedclusters":
                    clusters[obj["metadata"]["name"]] = cluster_facts(obj)
                case "resourceflavors":
                    flavors[obj["metadata"]["name"]] = flavor_facts(obj)
                case _:
                    report = report_facts(obj)
                    if report is not None:
                        before = reports.get(report.cluster, report)
                        reports[report.cluster] = newest(before, report)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as bad:
            unread[what] = f"{obj['metadata']['name']} cannot be read: {type(bad).__name__}: {bad}"
    complete = None not in (seen.cluster_queues, seen.flavors, seen.clusters, seen.statuses)
    decision = None
    if complete:
        world = World(clusters, reports, flavors, queues)
        settled = Memory(started_at=-stale_after, settled=True)
        rules = Rules(stale_after=stale_after, shrink_after=0.0)
        decision = decide(world, settled, Instant(0.0, seen.now), rules)
    return Known(queues, raw, decision, unread)


def quota_report(seen: Seen, name: str = "", *, stale_after: float) -> QuotaReport:
    """All managed quotas, or those of one ClusterQueue or ``cohort/NAME`` with what others have of them."""
    facts = known(seen, stale_after=stale_after)
    cells = {cell for q in facts.managed for cell in q.quotas if name in ("", q.key)}
    order = sorted(cells, key=lambda cell: (cell.flavor, resource_order(cell.resource)))
    return QuotaReport(
        at=rfc3339(seen.now),
        cells=tuple(_cell(cell, facts) for cell in order),
        kept=facts.decision.kept if facts.decision else "",
        notes=tuple(_notes(facts.decision)) if facts.decision else (),
        managed=tuple(queue.key for queue in facts.managed),
        unread=facts.unread,
    )


def reservations(queue: Obj) -> dict[Cell, int]:
    """What Kueue counts as in use or promised."""
    return {
        Cell(flavor["name"], each["name"]): parse_milli_up(each.get("total", "0"))
        for flavor in (queue.get("status") or {}).get("flavorsReservation") or ()
        for each in flavor.get("resources") or ()
    }


def _cell(cell: Cell, facts: Known) -> CellReport:
    decision, resource = facts.decision, cell.resource
    holders = [q for q in facts.managed if cell in q.quotas]
    ours = [q for q in holders if cell in q.ours]
    wanted = None if decision is None else sum(decision.nominal[q.key, cell] for q in ours)
    return CellReport(
        flavor=cell.flavor,
        resource=resource,
        clusters=() if decision is None else tuple(_clusters(cell, decision)),
        capacity=None if decision is None else format_milli(decision.capacity.total(cell), resource),
        reserve=None if decision is None else format_milli(decision.reserved.get(cell, 0), resource),
        quota=format_milli(sum(q.quotas[cell] for q in ours), resource),
        wanted=None if wanted is None else format_milli(wanted, resource),
        queues=tuple(_queue(cell, q, facts) for q in holders),
    )


def _clusters(cell: Cell, decision: Decision) -> Iterator[ClusterPart]:
    silent = {each.cluster: each.why for each in decision.silent}
    parts: dict[str, Part] = {
        name: share.parts[cell] for name, share in decision.capacity.shares.items() if cell in share.parts
    }
    for name in sorted(parts):
        part = parts[name]
        yield ClusterPart(
            cluster=name,
            allocatable=format_milli(part.allocatable, cell.resource),
            excluded={str(why): format_milli(a, cell.resource) for why, a in sorted(part.excluded.items())},
            foreign=format_milli(part.foreign, cell.resource),
            capacity=format_milli(part.amount, cell.resource),
            why=silent.get(name, ""),
        )


def _queue(cell: Cell, queue: QueueFacts, facts: Known) -> QueuePart:
    wanted = facts.decision.nominal[queue.key, cell] if facts.decision is not None else None
    reserved = reservations(facts.raw[queue.key]).get(cell, 0) if queue.key == queue.name else None
    return QueuePart(
        kind=queue.kind,
        name=queue.name,
        weight=queue.weight,
        managed=cell in queue.ours,
        quota=format_milli(queue.quotas[cell], cell.resource),
        wanted=None if wanted is None else format_milli(wanted, cell.resource),
        reserved=None if reserved is None else format_milli(reserved, cell.resource),
    )


def _notes(decision: Decision) -> Iterator[str]:
    yield from decision.problems
    yield from (f"ResourceFlavor {name} does not exist: its quotas stay" for name in decision.missing_flavors)
    yield from map(str, decision.silent)
    for cluster, share in sorted(decision.capacity.shares.items()):
        if share.report.not_counted:
            yield not_counted(cluster, share.report.not_counted)
    yield from map(str, decision.capacity.overlaps)
    yield from map(str, decision.capacity.unmatched)


def _objects(seen: Seen) -> Iterable[tuple[str, Obj]]:
    lists: Mapping[str, Sequence[Obj] | None] = {
        "clusterqueues": seen.cluster_queues,
        "cohorts": seen.cohorts,
        "managedclusters": seen.clusters,
        "resourceflavors": seen.flavors,
        "workstatuses": seen.statuses,
    }
    return ((what, obj) for what, objects in lists.items() for obj in objects or ())
