"""Plays OCM's registration: agents that renew a Lease and report, and the hub's judge of old leases.

Facts (OCM registration, pkg/registration): the agent renews the Lease ``managed-cluster-lease`` in the
cluster's namespace and keeps the condition ManagedClusterConditionAvailable True, or False while its API
server does not answer; it reports capacity and allocatable, the latter without unschedulable nodes. The hub
turns the condition Unknown when the Lease is older than five periods. OCM's period is 60 s; a fleet's is
shorter, so that tests of lost clusters end the same day.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kube_runtime.errors import Conflict, KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli, parse_milli_down
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from vocabulary.resources import MANAGED_CLUSTERS, NODES

LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
LEASE_NAME: Final = "managed-cluster-lease"
AVAILABLE: Final = "ManagedClusterConditionAvailable"
PERIODS_UNTIL_LOST = 5

_ACCEPTED = ("HubAcceptedManagedCluster", "True", "HubClusterAdminAccepted", "Accepted by hub cluster admin")
_JOINED = ("ManagedClusterJoined", "True", "ManagedClusterJoined", "Managed cluster joined")
_HEALTHY = (AVAILABLE, "True", "ManagedClusterAvailable", "Managed cluster is available")
_BROKEN = (
    AVAILABLE,
    "False",
    "ManagedClusterKubeAPIServerUnavailable",
    "The kube-apiserver is not ok",
)
_LOST = (
    AVAILABLE,
    "Unknown",
    "ManagedClusterLeaseUpdateStopped",
    "Registration agent stopped updating its lease.",
)
Condition = tuple[str, str, str, str]
"""type, status, reason, message."""


async def report_forever(worker: Space, its: Space, *, period: float) -> None:
    """A worker's registration agent; ``its`` is reached through the worker's own link, which tests cut."""
    while True:
        with suppress(KubeError):  # not reachable now: that is what the judge is there for
            await report(worker, its)
        await asyncio.sleep(period)


async def report(worker: Space, its: Space) -> None:
    """One beat: the Lease, then condition and amounts, written only when they differ."""
    await renew_lease(its, worker.name)
    try:
        nodes = await worker.list(NODES)
        version = await worker.version()
    except KubeError:
        await write_status(its, worker.name, conditions=[_ACCEPTED, _JOINED, _BROKEN], facts={})
        return
    facts = {
        "capacity": amounts(node["status"]["capacity"] for node in nodes),
        "allocatable": amounts(
            node["status"]["allocatable"] for node in nodes if not node["spec"].get("unschedulable")
        ),
        "version": {"kubernetes": version},
    }
    await write_status(its, worker.name, conditions=[_ACCEPTED, _JOINED, _HEALTHY], facts=facts)


async def judge_forever(its: Space, workers: Iterable[str], *, period: float) -> None:
    """The hub's side: a Lease that is too old makes its cluster Unknown."""
    names = tuple(workers)
    while True:
        for name in names:
            with suppress(KubeError):
                lease = await its.get(LEASES, LEASE_NAME, name)
                if is_lost(lease, now=datetime.now(UTC), after=period * PERIODS_UNTIL_LOST):
                    await write_status(its, name, conditions=[_LOST], facts={})
        await asyncio.sleep(period)


def is_lost(lease: Obj, *, now: datetime, after: float) -> bool:
    """Whether the Lease was last renewed more than ``after`` seconds ago."""
    renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
    return now - renewed > timedelta(seconds=after)


def amounts(lists: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The sum of resource lists, rounded down to what a node could give."""
    total: dict[str, int] = {}
    for each in lists:
        for resource, quantity in each.items():
            total[resource] = total.get(resource, 0) + parse_milli_down(quantity)
    return {resource: format_milli(amount, resource) for resource, amount in sorted(total.items())}


async def renew_lease(its: Space, cluster: str) -> None:
    """Make or renew the cluster's Lease."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease: Obj = {
        "metadata": {"name": LEASE_NAME, "namespace": cluster},
        "spec": {"leaseDurationSeconds": 60, "renewTime": now},
    }
    await its.apply(LEASES, lease, field_manager="local-fleet")


async def write_status(
    its: Space, cluster: str, *, conditions: list[Condition], facts: Mapping[str, Any]
) -> None:
    """Read, change, write with resourceVersion; after a conflict the next beat tries again."""
    with suppress(Conflict, NotFound):
        seen = await its.get(MANAGED_CLUSTERS, cluster)
        status = merged(seen.get("status") or {}, conditions, facts)
        if status != seen.get("status"):
            await its.update(MANAGED_CLUSTERS, {**seen, "status": status}, subresource="status")


def merged(status: Obj, conditions: list[Condition], facts: Mapping[str, Any]) -> Obj:
    """``status`` with the conditions set; transition times move only where a status does."""
    known: dict[str, Obj] = {c["type"]: c for c in status.get("conditions") or []}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for kind, state, reason, message in conditions:
        old = known.get(kind, {})
        since = old["lastTransitionTime"] if old.get("status") == state else now
        known[kind] = {
            "type": kind,
            "status": state,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since,
        }
    return {**status, **facts, "conditions": list(known.values())}
