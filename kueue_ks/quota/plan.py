"""What QuotaManager would write now: old and new, the clusters behind it, who would be in the way. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli, parse_milli_up
from kueue_ks.quota.report import Known, known, reservations
from kueue_ks.views.cells import seconds
from kueue_ks.views.facts import rfc3339
from kueue_ks.views.seen import Seen
from quota_manager.decision import Change, Write
from quota_manager.facts import Cell
from quota_manager.shrink import Holder, victims


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One nominalQuota.

    ``causes`` are the clusters that differ from what the queue's breakdown tells, or all of them when it
    tells nothing. ``over`` is by how much what is in use exceeds ``new``.
    """

    kind: str
    queue: str
    flavor: str
    resource: str
    old: str
    new: str
    causes: tuple[str, ...]
    reserved: str | None
    over: str | None


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A ClusterQueue in which more is used than it would have.

    ``in_the_way``: Workloads, the first to go first; None when they could not be read.
    """

    queue: str
    in_the_way: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class QuotaPlan:
    """``known``: whether everything was read that decides on quotas."""

    at: str
    changes: tuple[PlannedChange, ...]
    shrunk: tuple[Shrunk, ...]
    kept: str
    known: bool
    unread: Mapping[str, str]


def quota_plan(seen: Seen, name: str = "", *, stale_after: float) -> QuotaPlan:
    """Of all managed queues, or of one ClusterQueue or ``cohort/NAME``."""
    facts = known(seen, stale_after=stale_after)
    writes = [w for w in (facts.decision.writes if facts.decision else ()) if name in ("", w.queue.key)]
    return QuotaPlan(
        at=rfc3339(seen.now),
        changes=tuple(_change(write, change, facts) for write in writes for change in write.changes),
        shrunk=tuple(_shrunk(writes, facts, seen)),
        kept=facts.decision.kept if facts.decision else "",
        known=facts.decision is not None,
        unread=facts.unread,
    )


def _change(write: Write, change: Change, facts: Known) -> PlannedChange:
    resource, queue = change.cell.resource, write.queue
    is_queue = queue.key == queue.name
    raw = facts.raw[queue.key]
    return PlannedChange(
        kind=queue.kind,
        queue=queue.name,
        flavor=change.cell.flavor,
        resource=resource,
        old=format_milli(change.old, resource),
        new=format_milli(change.new, resource),
        causes=tuple(cause.describe(resource) for cause in change.causes),
        reserved=format_milli(reservations(raw).get(change.cell, 0), resource) if is_queue else None,
        over=format_milli(_over(change, raw), resource) if is_queue else None,
    )


def _over(change: Change, queue: Obj) -> int:
    """In a cohort what is above the old quota is borrowed, and no matter of this change."""
    reserved = reservations(queue).get(change.cell, 0)
    if queue["spec"].get("cohortName"):
        reserved = min(reserved, change.old)
    return max(0, reserved - change.new)


def _shrunk(writes: list[Write], facts: Known, seen: Seen) -> Iterator[Shrunk]:
    for write in writes:
        if write.queue.key != write.queue.name:
            continue
        over = {change.cell: _over(change, facts.raw[write.queue.key]) for change in write.changes}
        if any(over.values()):
            names = None
            if seen.workloads is not None and not seen.namespace:
                names = tuple(h.name for h in victims(over, _holders(write.queue.name, seen)))
            yield Shrunk(write.queue.name, names)


def _holders(queue: str, seen: Seen) -> Iterator[Holder]:
    for workload in seen.workloads or ():
        status = workload.get("status") or {}
        admission = status.get("admission") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
        if admission.get("clusterQueue") != queue or "Finished" in conditions:
            continue
        reserved = conditions.get("QuotaReserved")
        metadata = workload["metadata"]
        yield Holder(
            name=f"{metadata['namespace']}/{metadata['name']}",
            uid=metadata["uid"],
            priority=int((workload.get("spec") or {}).get("priority") or 0),
            since=seconds(reserved["lastTransitionTime"]) if reserved else 0.0,
            uses=_uses(admission),
        )


def _uses(admission: Obj) -> dict[Cell, int]:
    uses: dict[Cell, int] = {}
    for assignment in admission.get("podSetAssignments") or ():
        for resource, flavor in (assignment.get("flavors") or {}).items():
            cell = Cell(flavor, resource)
            used = parse_milli_up((assignment.get("resourceUsage") or {}).get(resource, "0"))
            uses[cell] = uses.get(cell, 0) + used
    return uses
