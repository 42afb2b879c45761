"""Reading everything that the audit compares, with the controller's own stores and reading. Writes nothing.

The hub must answer. WDS and ITS may be out of reach: what could not be read is named, and nothing is
concluded from what is not there.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kube_runtime.connections import ConnectionSettings, connect, connect_control_plane
from kube_runtime.errors import KubeError, NotFound
from kube_runtime.informer import Informer
from kube_runtime.objects import Obj
from kube_runtime.resources import LEASES
from kube_runtime.space import Space
from vocabulary import keys
from vocabulary.resources import JOBS
from workload_controller.audit import leftovers, workloads
from workload_controller.audit.facts import LeaderFacts, Stray
from workload_controller.audit.finding import Finding
from workload_controller.audit.gather import Gatherer
from workload_controller.published import LEASE, Options, read_options
from workload_controller.reading import seconds
from workload_controller.stores import BY_OWNER, Stores
from workload_controller.view import View

SPACE_TIMEOUT: Final = 5.0
"""Seconds to connect to WDS or ITS: a dead one must not hide what the others say."""

LIST_TIMEOUT: Final = 30.0
"""Seconds for all lists of one space."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was compared; None: not read."""

    workloads_with_quota: int
    copies: int | None
    manifest_works: int | None
    work_statuses: int | None
    clusters: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw. ``unread`` says per space why it could not be read."""

    now: float
    suspicions: tuple[Finding, ...]
    counts: Counts
    unread: Mapping[str, str]
    options: Options  # the controller's, whose deadlines count


@dataclass(slots=True)
class Spaces:
    """What is connected. A space that could not be reached is None and in ``unread``."""

    hub: Space
    wds: Space | None = None
    its: Space | None = None
    unread: dict[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Space | None:
        """By the name that findings give it."""
        return {"hub": self.hub, "wds": self.wds, "its": self.its}.get(name)


@asynccontextmanager
async def reached(where: Mapping[str, ConnectionSettings]) -> AsyncIterator[Spaces]:
    """Connect; raises KubeError when the hub cannot be."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(await connect("hub", where["hub"]))
        spaces = Spaces(hub)
        for name in ("wds", "its"):
            try:
                async with asyncio.timeout(SPACE_TIMEOUT):
                    space = await stack.enter_async_context(
                        await connect_control_plane(hub, name, where[name])
                    )
            except (KubeError, TimeoutError) as error:
                spaces.unread[name] = _why(error, SPACE_TIMEOUT)
                continue
            if name == "wds":
                spaces.wds = space
            else:
                spaces.its = space
        yield spaces


async def look(spaces: Spaces) -> Look:
    """Read everything once. Raises KubeError when the hub does not answer."""
    leader, options = await _leader(spaces.hub)
    # An informer of a space that was not reached is never filled, so the hub stands in for it.
    stores = Stores(spaces.hub, spaces.wds or spaces.hub, spaces.its or spaces.hub)
    unread = dict(spaces.unread)
    for name, informers in _by_space(stores).items():
        if name in unread:
            continue
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                await asyncio.gather(*(informer.fill() for informer in informers))
        except (KubeError, TimeoutError) as error:
            if name == "hub":
                raise
            unread[name] = _why(error, LIST_TIMEOUT)
    timing, stale_after = options.timing, options.stale_after
    view = View(stores, stale_after=stale_after, timing=timing, defaults=options.defaults)
    gatherer = Gatherer(stores, view, time.time(), timing=timing, stale_after=stale_after)
    whole = not unread
    found: list[Finding] = []
    for namespace, name in gatherer.names():
        found += workloads.suspicions(gatherer.subject(namespace, name), timing, whole=whole)
    rest = replace(
        gatherer.rest(),
        leader=leader,
        strays=tuple(await _strays(spaces, stores)) if whole else (),
    )
    found += leftovers.suspicions(rest, whole=whole)
    return Look(gatherer.now, tuple(found), _counts(stores, unread), unread, options)


def _by_space(stores: Stores) -> Mapping[str, tuple[Informer[Any], ...]]:
    wds = (stores.copies, stores.policies, stores.bindings, stores.beats, stores.twins)
    its = (stores.clusters, stores.works, stores.reports)
    hub = tuple(informer for informer in stores.informers if informer not in (*wds, *its))
    return {"hub": hub, "wds": wds, "its": its}


def _counts(stores: Stores, unread: Mapping[str, str]) -> Counts:
    wds, its = "wds" not in unread, "its" not in unread
    reports = [report for report in stores.reports.items().values() if report.job is not None]
    return Counts(
        workloads_with_quota=sum(w.quota_reserved for w in stores.workloads.items().values()),
        copies=len(stores.copies.items()) if wds else None,
        manifest_works=len(stores.works.items()) if its else None,
        work_statuses=len(reports) if its else None,
        clusters=len(stores.clusters.items()) if its else None,
    )


async def _leader(hub: Space) -> tuple[LeaderFacts | None, Options]:
    """The controller's Lease, and the options on it; None and the defaults when we may not read it."""
    try:
        lease: Obj = await hub.get(LEASES, LEASE, keys.SYSTEM_NAMESPACE)
    except NotFound:
        lease = {}
    except KubeError:
        return None, Options()
    spec = lease.get("spec") or {}
    leader = LeaderFacts(
        namespace=keys.SYSTEM_NAMESPACE,
        name=LEASE,
        holder=spec.get("holderIdentity") or "",
        renewed_at=seconds(spec.get("renewTime")),
        duration=float(spec.get("leaseDurationSeconds") or 0),
    )
    return leader, read_options((lease.get("metadata") or {}).get("annotations") or {})


async def _strays(spaces: Spaces, stores: Stores) -> list[Stray]:
    """Jobs with a finalizer of ours that no selector of the controller finds."""
    unqueued = await spaces.hub.list(JOBS, label_selector=f"!{keys.QUEUE_NAME}")
    strays = [
        _stray("hub", job, keys.PODS_MAY_RUN, f"it has no label {keys.QUEUE_NAME}", _needed_by(job, stores))
        for job in unqueued
        if keys.PODS_MAY_RUN in (job["metadata"].get("finalizers") or ())
    ]
    if spaces.wds is not None:
        selector = f"{keys.MANAGED_BY_LABEL}!={keys.MANAGED_BY}"
        why = f"it has no label {keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"
        strays += [
            _stray("wds", job, keys.PODS_LEAVING, why, ())
            for job in await spaces.wds.list(JOBS, label_selector=selector)
            if keys.PODS_LEAVING in (job["metadata"].get("finalizers") or ())
        ]
    return strays


def _needed_by(job: Obj, stores: Stores) -> tuple[str, ...]:
    """What of a hub job is left: its finalizer stays for as long."""
    metadata = job["metadata"]
    owned = stores.workloads.by_index(BY_OWNER, metadata["uid"])
    copy = stores.copies.get((metadata["namespace"], metadata["name"]))
    names = [f"Workload {w.namespace}/{w.name}" for w in owned]
    return (*names, *([f"copy {copy.namespace}/{copy.name}"] if copy is not None else []))


def _stray(space: str, job: Obj, finalizer: str, why: str, needed_by: tuple[str, ...]) -> Stray:
    metadata = job["metadata"]
    return Stray(
        space=space,
        kind=JOBS.kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        finalizer=finalizer,
        deleting="deletionTimestamp" in metadata,
        why_unseen=why,
        needed_by=needed_by,
    )


def _why(error: KubeError | TimeoutError, limit: float) -> str:
    return str(error) or f"no answer within {limit:.0f}s"
