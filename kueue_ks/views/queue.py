"""Queues with their quotas, and the jobs in them. Pure.

Figures of queues are Kueue's own status. Jobs are ``jobs``' rows.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli, parse_milli_down
from kueue_ks.errors import CommandError
from kueue_ks.explain.facts import condition
from kueue_ks.views.clusters import resource_order
from kueue_ks.views.facts import Facts, rfc3339
from kueue_ks.views.jobs import HELD_UP, ON_CLUSTER, Job, jobs_of
from quota_manager.facts import Cell, is_managed, queue_facts


@dataclass(frozen=True, slots=True)
class Quota:
    """One nominalQuota and what is taken of it, as quantities. ``reserved`` includes ``used``."""

    flavor: str
    resource: str
    nominal: str
    reserved: str
    used: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A ClusterQueue, or a LocalQueue with its ``namespace``. Counts are Kueue's own."""

    kind: str
    namespace: str
    name: str
    cluster_queue: str
    pending: int
    reserving: int
    admitted: int
    active: bool | None  # None: Kueue has not said
    reason: str
    message: str
    managed: bool  # QuotaManager writes its nominal quotas
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueReport:
    """``queues``, ``waiting`` or ``running`` are None when they were not read."""

    at: str
    queues: tuple[Queue, ...] | None
    waiting: tuple[Job, ...] | None
    running: tuple[Job, ...] | None
    unread: Mapping[str, str] = field(default_factory=dict)


def queue_report(facts: Facts, *, namespace: str = "", name: str = "") -> QueueReport:
    """Put the facts together, of one namespace or one queue if asked. Raises CommandError: no such queue.

    Positions count all jobs of a ClusterQueue, also those that are not shown.
    """
    jobs = jobs_of(facts)
    queues = _queues(facts)
    if queues is not None:
        queues = tuple(q for q in queues if not namespace or q.namespace in {"", namespace})
        if name:
            queues = _named(queues, name)
    if jobs is not None:
        jobs = tuple(j for j in jobs if not namespace or j.namespace == namespace)
        jobs = _of_queues(jobs, name, queues)
    if namespace and not name and queues is not None:
        queues = _seen_from(queues, jobs or ())
    return QueueReport(
        at=rfc3339(facts.seen.now),
        queues=queues,
        waiting=None if jobs is None else tuple(j for j in jobs if j.phase in HELD_UP),
        running=None if jobs is None else tuple(j for j in jobs if j.phase in ON_CLUSTER),
        unread=dict(facts.unread),
    )


def _queues(facts: Facts) -> tuple[Queue, ...] | None:
    """ClusterQueues by name, each followed by its LocalQueues; at last those that point nowhere."""
    seen = facts.seen
    if seen.cluster_queues is None and seen.local_queues is None:
        return None
    found = [
        *(_cluster_queue(obj) for obj in seen.cluster_queues or ()),
        *(_local_queue(obj) for obj in seen.local_queues or ()),
    ]
    return tuple(sorted(found, key=lambda q: (q.cluster_queue, bool(q.namespace), q.namespace, q.name)))


def _cluster_queue(obj: Obj) -> Queue:
    name = obj["metadata"]["name"]
    return _queue(obj, "ClusterQueue", name, managed=is_managed(obj), quotas=tuple(_quotas(obj)))


def _local_queue(obj: Obj) -> Queue:
    return _queue(obj, "LocalQueue", obj["spec"].get("clusterQueue", ""))


def _queue(
    obj: Obj, kind: str, cluster_queue: str, *, managed: bool = False, quotas: tuple[Quota, ...] = ()
) -> Queue:
    status, active = obj.get("status") or {}, condition(obj, "Active")
    return Queue(
        kind=kind,
        namespace=obj["metadata"].get("namespace", ""),
        name=obj["metadata"]["name"],
        cluster_queue=cluster_queue,
        pending=status.get("pendingWorkloads") or 0,
        reserving=status.get("reservingWorkloads") or 0,
        admitted=status.get("admittedWorkloads") or 0,
        active={"True": True, "False": False}.get(active.get("status", "")),
        reason=active.get("reason", ""),
        message=active.get("message", ""),
        managed=managed,
        quotas=quotas,
    )


def _quotas(obj: Obj) -> Iterable[Quota]:
    status = obj.get("status") or {}
    reserved, used = _taken(status.get("flavorsReservation")), _taken(status.get("flavorsUsage"))
    nominal = queue_facts(obj).quotas
    flavors = {cell.flavor: number for number, cell in enumerate(nominal)}  # in the order they are tried
    for cell in sorted(nominal, key=lambda c: (flavors[c.flavor], resource_order(c.resource))):
        yield Quota(
            flavor=cell.flavor,
            resource=cell.resource,
            nominal=format_milli(nominal[cell], cell.resource),
            reserved=format_milli(reserved.get(cell, 0), cell.resource),
            used=format_milli(used.get(cell, 0), cell.resource),
        )


def _taken(flavors: Iterable[Obj] | None) -> dict[Cell, int]:
    return {
        Cell(flavor["name"], each["name"]): parse_milli_down(each.get("total", 0))
        for flavor in flavors or ()
        for each in flavor.get("resources") or ()
    }


def _named(queues: tuple[Queue, ...], name: str) -> tuple[Queue, ...]:
    """A ClusterQueue with its LocalQueues, or a LocalQueue with its ClusterQueue."""
    heads = {q.cluster_queue for q in queues if q.name == name}
    if not heads:
        near = difflib.get_close_matches(name, sorted({q.name for q in queues}), n=3)
        why = f"{len(queues)} queues are there" if queues else "no queue is there"
        fix = f"did you mean {' or '.join(near)}?" if near else "name another one, or its namespace with -n"
        what = f"no ClusterQueue or LocalQueue {name!r}"
        raise CommandError(what, why=why, fix=fix)
    whole = {q.name for q in queues if q.kind == "ClusterQueue" and q.name == name}
    return tuple(
        q
        for q in queues
        if q.cluster_queue in heads and (q.name == name or q.cluster_queue in whole or not q.namespace)
    )


def _of_queues(jobs: Iterable[Job], name: str, queues: tuple[Queue, ...] | None) -> tuple[Job, ...]:
    """The jobs of the queues that were asked for by name."""
    if not name:
        return tuple(jobs)
    local = {(q.namespace, q.name) for q in queues or () if q.namespace}
    return tuple(
        j for j in jobs if (j.namespace, j.queue) in local or (j.cluster_queue == name and not local)
    )


def _seen_from(queues: tuple[Queue, ...], jobs: Iterable[Job]) -> tuple[Queue, ...]:
    """For one namespace: its LocalQueues, and the ClusterQueues that these or its jobs use."""
    used = {q.cluster_queue for q in queues if q.namespace} | {j.cluster_queue for j in jobs}
    return tuple(q for q in queues if q.cluster_queue in used)
