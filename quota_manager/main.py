"""The program: connect, check, fill the stores, and reconcile while leading."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog

from kube_runtime import telemetry
from kube_runtime.events import EventRecorder
from kube_runtime.lease import LeaderElection
from kube_runtime.preflight import require_readable, require_served
from kube_runtime.process_identity import process_identity
from kube_runtime.program import start
from kube_runtime.spaces import Spaces, connect_spaces
from kube_runtime.work_queue import WorkQueue, run_workers
from quota_manager.controller import Controller
from quota_manager.settings import Settings
from quota_manager.sources.allocatable import AllocatableSource
from quota_manager.sources.cluster_metrics import ClusterMetricsSource
from quota_manager.sources.prometheus import PrometheusSource
from quota_manager.sources.source import Source
from quota_manager.sources.sources import Sources, wanted
from quota_manager.tell import Teller
from quota_manager.view import QUOTAS, Request, View
from vocabulary import keys
from vocabulary.resources import (
    BINDING_POLICIES,
    CLUSTER_METRICS,
    CLUSTER_QUEUES,
    COHORTS,
    MANAGED_CLUSTERS,
    RESOURCE_FLAVORS,
    WORK_STATUSES,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NAME: Final = "quota-manager"

WORKERS: Final = 4
"""Clusters at a time; the quotas are one key and thus never decided twice at a time."""

GATHER: Final = 0.2
"""Seconds in which changes are gathered into one decision: a fleet of 1,000 clusters reports 100 times a
second, and Kueue looks at all waiting Workloads anew after each write, once per second at most (0.19.2,
inadmissible_workloads.go)."""

HUB: Final = (CLUSTER_QUEUES, COHORTS, RESOURCE_FLAVORS)
ITS: Final = (MANAGED_CLUSTERS, WORK_STATUSES)


async def run(settings: Settings) -> None:
    """Run until cancelled. Raises KubeError when the spaces are not as they must be."""
    async with AsyncExitStack() as stack:
        spaces = await stack.enter_async_context(connect_spaces(settings))
        await check(spaces)
        queue: WorkQueue[Request] = WorkQueue(metrics=telemetry.QueueTelemetry(NAME))

        def changed(request: Request) -> None:
            queue.add_after(request, GATHER if request == QUOTAS else 0)

        view = View(spaces.hub, spaces.wds, spaces.its, changed=changed)
        election = LeaderElection(spaces.hub, settings.namespace, NAME, process_identity())
        hub_events = EventRecorder(spaces.hub, keys.CONTROLLER_NAME)
        its_events = EventRecorder(spaces.its, keys.CONTROLLER_NAME)
        teller = Teller(view, hub_events=hub_events, its_events=its_events)
        prometheus = _prometheus(settings, view, changed)
        others: list[Source] = [] if prometheus is None else [prometheus]
        others += [AllocatableSource()] if settings.count_allocatable else []
        sources = Sources(
            [ClusterMetricsSource(), *others], stale_after=settings.stale_after, events=its_events
        )
        controller = Controller(
            spaces, view, teller, rules=settings.rules, may_write=election.is_leader, sources=sources
        )
        stack.enter_context(telemetry.exposed(sources))
        stack.enter_context(telemetry.exposed(teller))
        stack.enter_context(telemetry.exposed(telemetry.InformerTelemetry(view.informers)))

        async def lead() -> None:
            await view.wait_synced()
            controller.begin()
            view.enqueue_all()
            log.info("reconciling", clusters=len(view.clusters.items()), queues=len(view.quotas()))
            await run_workers(queue, controller.reconcile, WORKERS)

        async def finish() -> None:
            await queue.drain()
            await hub_events.flush()
            await its_events.flush()

        def missing() -> list[str]:
            return [*telemetry.unsynced(view.informers), *election.missing()]

        async with asyncio.TaskGroup() as tasks:
            for informer in (*view.informers, view.providers):
                tasks.create_task(informer.run())
            if prometheus is not None:
                tasks.create_task(prometheus.run())
            tasks.create_task(hub_events.run())
            tasks.create_task(its_events.run())
            tasks.create_task(
                telemetry.serve(settings.metrics_port, missing=missing, host=settings.metrics_address)
            )
            tasks.create_task(election.run(lead, finish=finish))


def _prometheus(
    settings: Settings, view: View, changed: Callable[[Request], None]
) -> PrometheusSource | None:
    if settings.prometheus is None:
        return None
    return PrometheusSource(
        settings.prometheus,
        interval=settings.prometheus_interval,
        wanted=lambda: wanted(view.world()),
        changed=lambda: changed(QUOTAS),
    )


async def check(spaces: Spaces) -> None:
    """Whether everything that we read is served and may be read; raises PreflightFailed."""
    rights = "Install our roles with kueue-ks install."
    await require_served(spaces.hub, HUB, "Install Kueue 0.16 or newer on the hub.")
    await require_served(
        spaces.wds, [BINDING_POLICIES], "Is this the WDS? KubeStellar's controller-manager makes this CRD."
    )
    await require_served(spaces.wds, [CLUSTER_METRICS], "Install our CRD with kueue-ks install.")
    await require_served(spaces.its, ITS, "Is this the ITS, and is its status add-on installed?")
    await require_readable(spaces.hub, HUB, rights)
    await require_readable(spaces.wds, (BINDING_POLICIES, CLUSTER_METRICS), rights)
    await require_readable(spaces.its, ITS, rights)


def main() -> int:
    """Exit code: 0 after a signal, 1 when it cannot run, 2 for wrong settings."""
    return start(Settings, run, name=NAME)
